/* Fuzzes route patterns and matching: the first two lines are patterns, the rest is a path. A
 * pattern that is refused says why; the values of a match are as many as the pattern's variables,
 * and terminated. */
#include "fuzz.h"

#include "web/routing/router.h"

#include <tepal/base.h>

static tepal_res *handler(tepal_req *req)
{
    (void)req;
    return NULL;
}

/* Takes the text up to the next line end off the input. */
static char *take_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = memchr(*data, '\n', *size);
    size_t len = end ? (size_t)(end - *data) : *size;
    char *line = calloc(len + 1, 1);
    REQUIRE(line);
    memcpy(line, *data, len);
    *data += end ? len + 1 : len;
    *size -= end ? len + 1 : len;
    return line;
}

static void match(const struct router *router, const char *path, size_t len)
{
    struct block_pool pool;
    struct arena arena;
    struct router_match found;
    block_pool_init(&pool, 4096, 1);
    REQUIRE(arena_init(&arena, &pool, 1 << 20) == 0);
    const tepal_bytes get = { .data = "GET", .len = 3 }, bytes = { .data = path, .len = len };
    REQUIRE(router_match(router, &arena, get, bytes, &found) == 0);
    if (found.route) {
        REQUIRE(found.path_exists && found.n_values == found.route->pattern.n_names);
        for (size_t i = 0; i < found.n_values; i++)
            REQUIRE(found.values[i].data[found.values[i].len] == '\0');
    }
    if (found.path_exists)
        REQUIRE(router_allow(router, &arena, path, len));
    arena_clear(&arena);
    block_pool_clear(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "POST" };
    struct router router;
    REQUIRE(router_init(&router) == 0);
    for (int i = 0; i < 2; i++) {
        char *pattern = take_line(&data, &size);
        const char *why = NULL;
        int rc = router_add(
            &router, &(tepal_route){ .method = methods[i], .pattern = pattern, .handler = handler },
            &why);
        REQUIRE(rc == 0 || (rc == TEPAL_EPATTERN && why));
        free(pattern);
    }
    char *path = fuzz_copy(data, size);
    match(&router, path, size);
    free(path);
    router_clear(&router);
    return 0;
}
