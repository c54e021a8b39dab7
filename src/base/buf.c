/* The growable buffer. It never holds more than its maximum. */
#include "base/buf.h"

#include "base/mem.h"
#include "base/print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max };
}

void buf_clear(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf, buf->max);
}

int buf_reserve(struct buf *buf, size_t more)
{
    if (more > buf->max - buf->len)
        return -ENOBUFS;
    size_t need = buf->len + more;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap < 256 ? 256 : buf->cap;
    while (cap < need)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    char *data = mem_resize(buf->data, cap);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
    int rc = buf_reserve(buf, len);
    if (rc == 0 && len > 0) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
    return rc;
}

int buf_append_str(struct buf *buf, const char *s)
{
    return buf_append(buf, s, strlen(s));
}

int buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = print_vsnprintf(NULL, 0, format, args);
    int rc = n < 0 ? -EINVAL : buf_reserve(buf, (size_t)n);
    /* vsnprintf wants room for its NUL, which the maximum does not count. */
    if (rc == 0 && buf->len + (size_t)n == buf->cap) {
        char *data = mem_resize(buf->data, buf->cap + 1);
        if (data)
            buf->data = data;
        else
            rc = -ENOMEM;
    }
    if (rc == 0) {
        print_vsnprintf(buf->data + buf->len, (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = buf_vprintf(buf, format, args);
    va_end(args);
    return rc;
}
