/* The heads of most responses, as far as they are the same: "200 OK", the fields of the server,
 * and Content-Type where it is one of those that the library's own calls set, up to the value of
 * Content-Length. They are made together with the Date field, once a second, and copied as a
 * whole. */
#ifndef TEPAL_WEB_EXCHANGE_USUAL_HEAD_H
#define TEPAL_WEB_EXCHANGE_USUAL_HEAD_H

#include "web/exchange/response_head.h"

struct usual_head {
    char *text;
    size_t len;
};

/* Room for all of them, when the server's fields have as many octets. Returns 0 or -ENOMEM; what is
 * made is freed by usual_heads_free(). */
int usual_heads_init(struct usual_head heads[N_USUAL], size_t fields_size);
void usual_heads_free(struct usual_head heads[N_USUAL]);

/* Makes them anew with these fields of the server. */
void usual_heads_make(struct usual_head heads[N_USUAL], const char *fields, size_t len);

/* The head for a type; NULL: it is none of those. */
static inline const struct usual_head *usual_head_of(const struct usual_head heads[N_USUAL],
                                                     const char *type)
{
    for (size_t i = 0; i < N_USUAL; i++)
        if (type == usual_types[i].text)
            return &heads[i];
    return NULL;
}

#endif
