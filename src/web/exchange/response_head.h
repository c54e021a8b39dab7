/* The head of a response in no syntax: what a handler has set, and what carriers write in
 * theirs. */
#ifndef TEPAL_WEB_EXCHANGE_RESPONSE_HEAD_H
#define TEPAL_WEB_EXCHANGE_RESPONSE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The media types that the library's own calls set. What has one of these has it by its address:
 * nobody else's text is compared. */
enum { USUAL_TEXT, USUAL_HTML, USUAL_JSON, N_USUAL };
struct usual_type {
    const char *text;
    size_t len;
};
extern const struct usual_type usual_types[N_USUAL];

struct response_field {
    struct response_field *next;
    const char *name, *value;
    uint32_t name_len, value_len;
};

struct response_head {
    int status;
    const char *reason; /* NULL: the usual one */
    const char *content_type;
    size_t type_len;
    struct response_field *fields, *last;
    size_t fields_size; /* octets that the fields take as lines: ": " and CRLF included */
    uint64_t length;    /* of the content, if has_length: or of what it stands for (HEAD, 304) */
    bool has_length;    /* it is known before the content is */
    bool bodiless;      /* no content follows, whatever the length says */
    bool unframed;      /* and nothing is said of any, but of a length that there is */
    bool close;         /* the connection ends with it */
    bool own_date, own_server; /* fields that take the place of the server's own */
};

#endif
