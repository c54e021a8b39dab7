/* The libuv peer: sends back what it reads, as libuv's manual shows it (docs/code/tcp-echo-server),
 * but with one buffer for each connection rather than one from malloc() for each read. It tries to
 * write at once, and queues only what the socket does not take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct connection {
    uv_tcp_t tcp;
    char buffer[16 * 1024];
};

struct rest {
    uv_write_t request;
    char data[];
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *c = (struct connection *)handle;
    (void)suggested;
    *buffer = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void on_close(uv_handle_t *handle)
{
    free(handle);
}

static void on_written(uv_write_t *request, int status)
{
    if (status < 0 && !uv_is_closing((uv_handle_t *)request->handle))
        uv_close((uv_handle_t *)request->handle, on_close);
    free(request);
}

static int write_later(uv_stream_t *stream, const char *data, size_t len)
{
    struct rest *rest = malloc(sizeof *rest + len);
    if (!rest)
        return UV_ENOMEM;
    memcpy(rest->data, data, len);
    uv_buf_t buffer = uv_buf_init(rest->data, (unsigned)len);
    int rc = uv_write(&rest->request, stream, &buffer, 1, on_written);
    if (rc < 0)
        free(rest);
    return rc;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    if (n == 0)
        return;
    int rc = (int)n;
    if (n > 0) {
        uv_buf_t whole = uv_buf_init(buffer->base, (unsigned)n);
        int done = uv_try_write(stream, &whole, 1);
        if (done == UV_EAGAIN)
            done = 0;
        rc = done;
        if (done >= 0 && done < n)
            rc = write_later(stream, buffer->base + done, (size_t)(n - done));
    }
    if (rc < 0 && !uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, on_close);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    struct connection *c = malloc(sizeof *c);
    if (!c)
        return;
    uv_tcp_init(listener->loop, &c->tcp);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0) {
        uv_close((uv_handle_t *)&c->tcp, on_close);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static int fail(const char *what, int rc)
{
    fprintf(stderr, "uv-echo: %s: %s\n", what, uv_strerror(rc));
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("libuv %s\n", uv_version_string());
        return 0;
    }
    int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: peer-uv-echo --port N | --version\n");
        return 2;
    }
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    struct sockaddr_in addr;
    uv_ip4_addr("127.0.0.1", port, &addr);
    uv_tcp_init(loop, &listener);
    int rc = uv_tcp_bind(&listener, (const struct sockaddr *)&addr, 0);
    if (rc < 0)
        return fail("bind", rc);
    rc = uv_listen((uv_stream_t *)&listener, 4096, on_connection);
    if (rc < 0)
        return fail("listen", rc);
    return uv_run(loop, UV_RUN_DEFAULT);
}
