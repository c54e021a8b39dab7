/* Texts and octets: views, and comparing what is secret. */
#include <tepal/value.h>

#include <string.h>

tepal_bytes tepal_bytes_of(const char *text)
{
    return (tepal_bytes){ .data = text, .len = text ? strlen(text) : 0 };
}

bool tepal_secret_equal_bytes(tepal_bytes a, tepal_bytes b)
{
    if (!a.data || !b.data || a.len != b.len)
        return false;
    /* Volatile, so that the compiler does not stop at the first octet that differs. */
    volatile unsigned char differ = 0;
    for (size_t i = 0; i < a.len; i++)
        differ = (unsigned char)(differ | (a.data[i] ^ b.data[i]));
    return differ == 0;
}

bool tepal_secret_equal(const char *a, const char *b)
{
    return tepal_secret_equal_bytes(tepal_bytes_of(a), tepal_bytes_of(b));
}
