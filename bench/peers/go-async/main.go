// The Go peer of tepal-async: goroutines on one processor (GOMAXPROCS=1), as tepal's tasks have one
// thread. Each figure is the median of several repetitions of the CPU time of the process, the
// garbage collector's included.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	repeat   = 9
	sleepers = 1000000
)

func cpuNs() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func report(name string, fn func() float64) {
	values := make([]float64, repeat)
	for i := range values {
		values[i] = fn()
	}
	sort.Float64s(values)
	fmt.Printf("%s %.1f\n", name, values[repeat/2])
}

// Two goroutines give way to one another: there and back is one turn of each.
func switchNs() float64 {
	const n = 1000000
	var done sync.WaitGroup
	begin := cpuNs()
	for i := 0; i < 2; i++ {
		done.Add(1)
		go func() {
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
			done.Done()
		}()
	}
	done.Wait()
	return (cpuNs() - begin) / n
}

func spawnJoinNs() float64 {
	const n = 300000
	var done sync.WaitGroup
	begin := cpuNs()
	for i := 0; i < n; i++ {
		done.Add(1)
		go done.Done()
		done.Wait()
	}
	return (cpuNs() - begin) / n
}

func channelNs(capacity int) float64 {
	const n = 1000000
	items := make(chan uint64, capacity)
	begin := cpuNs()
	go func() {
		for i := uint64(0); i < n; i++ {
			items <- i
		}
		close(items)
	}()
	for range items {
	}
	return (cpuNs() - begin) / n
}

// A million timers are set, at random times within an hour; beside them others are set, a thousand
// at a time, and stopped.
func timerInsertCancelNs() float64 {
	const set, batch, batches = 1000000, 1000, 100
	seed := uint64(1)
	next := func() time.Duration {
		seed = seed*6364136223846793005 + 1442695040888963407
		return time.Duration(1+uint32(seed>>33)%3600000) * time.Millisecond
	}
	nothing := func() {}
	timers := make([]*time.Timer, set)
	for i := range timers {
		timers[i] = time.AfterFunc(next(), nothing)
	}
	some := make([]*time.Timer, batch)
	for i := range some {
		some[i] = time.AfterFunc(next(), nothing)
		some[i].Stop()
	}
	values := make([]float64, repeat)
	for r := range values {
		begin := cpuNs()
		for b := 0; b < batches; b++ {
			for _, t := range some {
				t.Reset(next())
			}
			for _, t := range some {
				t.Stop()
			}
		}
		values[r] = (cpuNs() - begin) / (batch * batches)
	}
	for _, t := range timers {
		t.Stop()
	}
	sort.Float64s(values)
	return values[repeat/2]
}

// Resident memory and page tables of the process, in octets.
func memory() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	total := 0.0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && (fields[0] == "VmRSS:" || fields[0] == "VmPTE:") {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			total += kib * 1024
		}
	}
	return total
}

func sleepingTasksBytesEach() float64 {
	var begun sync.WaitGroup
	begun.Add(sleepers)
	for i := 0; i < sleepers; i++ {
		go func() {
			begun.Done()
			time.Sleep(time.Hour)
		}()
	}
	begun.Wait()
	time.Sleep(100 * time.Millisecond)
	return memory() / sleepers
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println(runtime.Version())
		return
	}
	report("switch_ns", switchNs)
	report("spawn_join_ns", spawnJoinNs)
	report("channel_ns", func() float64 { return channelNs(64) })
	report("channel_unbuffered_ns", func() float64 { return channelNs(0) })
	fmt.Printf("timer_insert_cancel_ns %.1f\n", timerInsertCancelNs())
	fmt.Printf("sleeping_tasks_bytes_each %.0f\n", sleepingTasksBytesEach())
}
