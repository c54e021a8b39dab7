/* The octets of the heads that most responses have. When they are made anew is h1_ways.c's business,
 * and which responses have one that of h1_response.c. */
#include "web/exchange/usual_head.h"

#include "base/mem.h"
#include "http/h1_write.h"

#include <errno.h>

static const char begin[] = "HTTP/1.1 200 OK\r\n",
                  type_field[] = "Content-Type: ", length_field[] = "\r\nContent-Length: ";

int usual_heads_init(struct usual_head heads[N_USUAL], size_t fields_size)
{
    enum { FIXED = sizeof(begin) + sizeof(type_field) + sizeof(length_field) };
    for (size_t i = 0; i < N_USUAL; i++) {
        heads[i].text = mem_alloc(FIXED + fields_size + usual_types[i].len);
        if (!heads[i].text)
            return -ENOMEM;
    }
    return 0;
}

void usual_heads_free(struct usual_head heads[N_USUAL])
{
    for (size_t i = 0; i < N_USUAL; i++)
        mem_free(heads[i].text);
}

void usual_heads_make(struct usual_head heads[N_USUAL], const char *fields, size_t len)
{
    for (size_t i = 0; i < N_USUAL; i++) {
        char *p = put_bytes(heads[i].text, begin, sizeof(begin) - 1);
        p = put_bytes(p, fields, len);
        p = put_bytes(p, type_field, sizeof(type_field) - 1);
        p = put_bytes(p, usual_types[i].text, usual_types[i].len);
        p = put_bytes(p, length_field, sizeof(length_field) - 1);
        heads[i].len = (size_t)(p - heads[i].text);
    }
}
