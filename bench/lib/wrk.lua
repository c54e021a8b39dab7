-- What wrk sends and reports. bench/run hands over the exact bytes of one request and how many of
-- them make a batch. Replacing wrk.format keeps wrk on its static path: the batch is made once and
-- no Lua runs between requests. wrk counts the requests in a batch itself and each response as one.

local pipeline = tonumber(os.getenv("BENCH_PIPELINE"))
local connections = tonumber(os.getenv("BENCH_CONNECTIONS"))

function init(args)
    local batch = string.rep(os.getenv("BENCH_REQUEST"), pipeline)
    wrk.format = function() return batch end
end

-- wrk "corrects" latencies for coordinated omission: it derives from the number of responses how
-- often a connection ought to send, and adds made-up values e, 2e, ... below each that is above
-- that interval e. It times batches but counts responses, so with pipelining its e is far too short
-- and the invented values outnumber the measured ones. Every value n above e has received what
-- n + e has, and its own count besides: subtracting neighbours takes the correction back exactly.
local function measured(summary, latency)
    local size = #latency
    if (latency.max - latency.min) * size > 6e9 then
        return nil              -- each latency(i) scans the range: this would take many seconds
    end
    local e = math.floor(summary.duration / math.floor(summary.requests / connections))
    local values, counts, total = {}, {}, 0
    for i = 1, size do
        local n, count = latency(i)
        values[i], counts[n] = n, count
    end
    local own = {}
    for i, n in ipairs(values) do
        own[i] = counts[n] - (n > e and counts[n + e] or 0)
        total = total + own[i]
    end
    return function(p)
        local sum = 0
        for i, n in ipairs(values) do
            sum = sum + own[i]
            if sum >= total * p / 100 then return n end
        end
    end, total
end

function done(summary, latency, requests)
    local errors, cpu = summary.errors, os.clock()      -- the clock first: what follows is no load
    local at, samples = function(p) return latency:percentile(p) end, summary.requests
    if pipeline > 1 and summary.requests >= connections then
        at, samples = measured(summary, latency)
    end
    io.write(string.format(
        '\nBENCH {"requests": %d, "bytes": %d, "duration_us": %d, "load_cpu_s": %.3f, ' ..
        '"p50_us": %s, "p99_us": %s, "latency_samples": %s, ' ..
        '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
        summary.requests, summary.bytes, summary.duration, cpu,
        at and string.format("%d", at(50)) or "null", at and string.format("%d", at(99)) or "null",
        at and string.format("%d", samples) or "null",
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
