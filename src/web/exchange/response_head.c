/* The media types of most responses. */
#include "web/exchange/response_head.h"

#define TYPE(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }

const struct usual_type usual_types[N_USUAL] = {
    [USUAL_TEXT] = TYPE("text/plain; charset=utf-8"),
    [USUAL_HTML] = TYPE("text/html; charset=utf-8"),
    [USUAL_JSON] = TYPE("application/json"),
};
