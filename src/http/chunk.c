/* The chunked transfer coding. It owns the decoder's states and its limits; it never holds body
 * octets (they are passed on where they are) and never keeps extensions or trailers. */
#include "http/chunk.h"

#include "http/octet.h"

/* What chunk-size lines may have in excess of the data that they announce: a few octets of a body
 * must not take megabytes of extensions or zeros. Each chunk may have some of it for nothing. */
enum { MAX_OVERHEAD = 16 * 1024, FREE_OVERHEAD = 16 };

/* Where the decoder is inside a line, in decoder->part. */
enum part {
    /* chunk extensions: *( BWS ";" BWS name [ BWS "=" BWS value ] ) */
    EXT_SPACE, /* whitespace that must be followed by ';' */
    EXT_SEMICOLON,
    EXT_NAME,
    EXT_NAME_END, /* whitespace behind a name */
    EXT_EQUALS,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPE,
    EXT_QUOTED_END,
    /* trailer fields */
    TRAILER_BEGIN = 0,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_END_LF, /* of the empty line that ends the body */
};

/* Where a chunk extension goes on after one octet, or -400. */
static int extension_octet(enum part part, char c)
{
    switch (part) {
    case EXT_SPACE:
    case EXT_QUOTED_END:
        return octet_is_ows(c) ? EXT_SPACE : c == ';' ? EXT_SEMICOLON : -400;
    case EXT_SEMICOLON:
        return octet_is_ows(c) ? EXT_SEMICOLON : octet_is(c, OCTET_TOKEN) ? EXT_NAME : -400;
    case EXT_NAME:
    case EXT_NAME_END:
        if (part == EXT_NAME && octet_is(c, OCTET_TOKEN))
            return EXT_NAME;
        if (c == '=' || c == ';')
            return c == '=' ? EXT_EQUALS : EXT_SEMICOLON;
        return octet_is_ows(c) ? EXT_NAME_END : -400;
    case EXT_EQUALS:
        if (octet_is(c, OCTET_TOKEN))
            return EXT_TOKEN;
        return octet_is_ows(c) ? EXT_EQUALS : c == '"' ? EXT_QUOTED : -400;
    case EXT_TOKEN:
        if (octet_is(c, OCTET_TOKEN))
            return EXT_TOKEN;
        return octet_is_ows(c) ? EXT_SPACE : c == ';' ? EXT_SEMICOLON : -400;
    case EXT_QUOTED:
        if (c == '"' || c == '\\')
            return c == '"' ? EXT_QUOTED_END : EXT_ESCAPE;
        return octet_is(c, OCTET_VALUE) ? EXT_QUOTED : -400;
    case EXT_ESCAPE:
        return octet_is(c, OCTET_VALUE) ? EXT_QUOTED : -400;
    default:
        return -400;
    }
}

/* Counts an octet of a chunk-size or trailer line. */
static bool fits_line(struct chunk_decoder *decoder, const struct chunk_limits *limits)
{
    return decoder->line++ < limits->max_line;
}

static int size_octet(struct chunk_decoder *decoder, char c)
{
    int digit = octet_hex(c);
    if (digit >= 0) {
        if (decoder->left >> 59)
            return -400;
        decoder->left = decoder->left << 4 | (unsigned)digit;
        decoder->digits = true;
        return 0;
    }
    int part = extension_octet(EXT_SPACE, c);
    if (!decoder->digits || part < 0)
        return -400;
    decoder->stage = CHUNK_EXTENSION;
    decoder->part = (uint8_t)part;
    return 0;
}

/* One octet of a chunk-size line, up to its CR. */
static int size_line_octet(struct chunk_decoder *decoder, char c, const struct chunk_limits *limits)
{
    bool in_size = decoder->stage == CHUNK_SIZE;
    if (c == '\r') {
        decoder->stage = CHUNK_SIZE_LF;
        if (in_size)
            return decoder->digits ? 0 : -400;
        return decoder->part == EXT_NAME || decoder->part == EXT_TOKEN ||
                       decoder->part == EXT_QUOTED_END
                   ? 0
                   : -400;
    }
    if (!fits_line(decoder, limits))
        return -413;
    if (in_size)
        return size_octet(decoder, c);
    int part = extension_octet((enum part)decoder->part, c);
    decoder->part = (uint8_t)part;
    return part < 0 ? part : 0;
}

/* The octet behind a chunk-size line. Data comes next or, behind the last chunk, trailers. */
static int size_lf(struct chunk_decoder *decoder, char c)
{
    uint64_t overhead = (uint64_t)decoder->overhead + decoder->line;
    uint64_t allowed = decoder->left + FREE_OVERHEAD;
    overhead = overhead > allowed ? overhead - allowed : 0;
    if (overhead > MAX_OVERHEAD)
        return -413;
    decoder->overhead = (uint32_t)overhead;
    decoder->stage = decoder->left ? CHUNK_DATA : CHUNK_TRAILER;
    decoder->line = 0;
    decoder->part = TRAILER_BEGIN;
    return c == '\n' ? 0 : -400;
}

/* The octet behind the CRLF of a chunk's data begins the next chunk. */
static int data_lf(struct chunk_decoder *decoder, char c)
{
    decoder->stage = CHUNK_SIZE;
    decoder->digits = false;
    return c == '\n' ? 0 : -400;
}

/* Where a trailer line goes on after one octet, or a negative status. */
static int trailer_part(struct chunk_decoder *decoder, char c, const struct chunk_limits *limits)
{
    switch (decoder->part) {
    case TRAILER_BEGIN:
        if (!octet_is(c, OCTET_TOKEN))
            return -400;
        return decoder->n_trailers++ < limits->max_trailer_fields ? TRAILER_NAME : -413;
    case TRAILER_NAME:
        return octet_is(c, OCTET_TOKEN) ? TRAILER_NAME : c == ':' ? TRAILER_VALUE : -400;
    case TRAILER_VALUE:
        return c == '\r' ? TRAILER_LF : octet_is(c, OCTET_VALUE) ? TRAILER_VALUE : -400;
    default:
        return c == '\n' ? TRAILER_BEGIN : -400;
    }
}

static int trailer_octet(struct chunk_decoder *decoder, char c, const struct chunk_limits *limits)
{
    if (decoder->part == TRAILER_END_LF) {
        decoder->stage = CHUNK_DONE;
        return c == '\n' ? 0 : -400;
    }
    if (decoder->part == TRAILER_BEGIN && c == '\r') {
        decoder->part = TRAILER_END_LF;
        return 0;
    }
    if (decoder->trailers++ >= limits->max_trailers)
        return -413;
    if (c != '\r' && decoder->part != TRAILER_LF && !fits_line(decoder, limits))
        return -413;
    int part = trailer_part(decoder, c, limits);
    if (part == TRAILER_BEGIN)
        decoder->line = 0;
    decoder->part = (uint8_t)part;
    return part < 0 ? part : 0;
}

/* One octet that is not data. */
static int octet(struct chunk_decoder *decoder, char c, const struct chunk_limits *limits)
{
    switch (decoder->stage) {
    case CHUNK_SIZE:
    case CHUNK_EXTENSION:
        return size_line_octet(decoder, c, limits);
    case CHUNK_SIZE_LF:
        return size_lf(decoder, c);
    case CHUNK_DATA_CR:
        decoder->stage = CHUNK_DATA_LF;
        return c == '\r' ? 0 : -400;
    case CHUNK_DATA_LF:
        return data_lf(decoder, c);
    default:
        return trailer_octet(decoder, c, limits);
    }
}

int chunk_decode(struct chunk_decoder *decoder, const char *in, size_t len,
                 const struct chunk_limits *limits, struct chunk_step *step)
{
    size_t i = 0;
    *step = (struct chunk_step){ .data = in };
    for (; i < len && decoder->stage != CHUNK_DONE; i++) {
        if (decoder->stage == CHUNK_DATA) {
            step->data = in + i;
            step->len = decoder->left < len - i ? (size_t)decoder->left : len - i;
            step->used = i + step->len;
            decoder->left -= step->len;
            if (decoder->left == 0)
                decoder->stage = CHUNK_DATA_CR;
            return 0;
        }
        int rc = octet(decoder, in[i], limits);
        if (rc < 0)
            return rc;
    }
    step->used = i;
    return decoder->stage == CHUNK_DONE;
}

size_t chunk_write_head(char *out, uint64_t size)
{
    size_t digits = 1, n = 0;
    while (digits < 16 && size >> (4 * digits))
        digits++;
    while (digits--)
        out[n++] = "0123456789abcdef"[size >> (4 * digits) & 15];
    out[n++] = '\r';
    out[n++] = '\n';
    return n;
}
