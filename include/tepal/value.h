/* Small things that are done with texts and octets. Nothing here suspends or needs a loop, and any
 * thread may call it. */
#ifndef TEPAL_VALUE_H
#define TEPAL_VALUE_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The octets of a text, without its NUL; of NULL: none, and data is NULL. They are the text's own
 * and not a copy. */
TEPAL_API tepal_bytes tepal_bytes_of(const char *text);

/* Whether two texts, or two runs of octets, are the same, in a time that tells nobody where they
 * differ: for tokens, signatures and the like. The time depends on their lengths, which are no
 * secret. NULL equals nothing, not even NULL; of octets that is data. */
TEPAL_API bool tepal_secret_equal(const char *a, const char *b);
TEPAL_API bool tepal_secret_equal_bytes(tepal_bytes a, tepal_bytes b);

#ifdef __cplusplus
}
#endif
#endif
