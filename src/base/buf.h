/* A growable run of octets with a mandatory maximum. */
#ifndef TEPAL_BASE_BUF_H
#define TEPAL_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len, cap, max;
};

/* An empty buffer that may grow to max octets. */
void buf_init(struct buf *buf, size_t max);

/* Frees what the buffer holds; it is empty then, and may be used again. */
void buf_clear(struct buf *buf);

/* Makes room for more octets behind len. Returns 0, -ENOBUFS when max does not allow them, or
 * -ENOMEM; the content stays in both cases. */
int buf_reserve(struct buf *buf, size_t more);

/* Appends; returns as buf_reserve(). */
int buf_append(struct buf *buf, const void *data, size_t len);
int buf_append_str(struct buf *buf, const char *s);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
