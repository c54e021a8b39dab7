/* A chat on raw TCP: each line that a client sends goes to all the others.
 *
 *     build/examples/chat 7777
 *     nc 127.0.0.1 7777
 *
 * Each client has a queue of lines, and a task that writes them. A client that does not read fills
 * its queue and misses lines; the others never wait for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <tepal.h>

enum { MAX_LINE = 500, MAX_QUEUE = 64, MAX_CLIENTS = 1000 };

struct line {
    char text[MAX_LINE + 40]; /* with what is said before it */
};

struct client {
    tepal_conn *conn;
    tepal_channel *queue; /* of lines to write */
    struct client *next;
    int number, n_missed;
};

struct room {
    struct client *first;
    int n_clients; /* so far */
};

/* Hands a line to all clients but the one that it is from. */
static void tell(struct room *room, const struct client *from, const char *what, const char *text)
{
    struct line line;
    snprintf(line.text, sizeof(line.text), "%d%s%s\n", from->number, what, text);
    for (struct client *c = room->first; c; c = c->next)
        if (c != from && tepal_channel_try_send(c->queue, &line) < 0)
            c->n_missed++;
}

/* Writes the lines in the queue; what is there goes out together. */
static int write_lines(void *arg)
{
    struct client *client = arg;
    struct line line;
    while (tepal_channel_receive(client->queue, &line) == 0) {
        int rc = tepal_conn_putf(client->conn, "%s", line.text);
        if (rc == 0 && tepal_channel_length(client->queue) > 0)
            continue;
        if (rc == 0 && client->n_missed > 0)
            rc = tepal_conn_putf(client->conn, "(%d lines missed)\n", client->n_missed);
        client->n_missed = 0;
        if (rc == 0)
            rc = tepal_conn_drain(client->conn);
        if (rc < 0)
            break; /* the client has left, of which its reader hears, too */
    }
    return 0;
}

/* Reads the client's lines until it leaves, or sends one that is too long. */
static void read_lines(struct room *room, struct client *client)
{
    char *text;
    client->number = ++room->n_clients;
    client->next = room->first;
    room->first = client;
    tell(room, client, " has come", "");
    while (tepal_conn_read_line(client->conn, MAX_LINE, &text) >= 0)
        tell(room, client, ": ", text);
    struct client **at = &room->first;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    tell(room, client, " has left", "");
}

static void chat(tepal_conn *conn, void *room)
{
    struct client client = { .conn = conn };
    client.queue = tepal_channel_new(sizeof(struct line), MAX_QUEUE);
    tepal_group *group = tepal_group_new();
    tepal_conn_set_keepalive(conn, NULL); /* find out about those who went without a word */
    if (client.queue && group && tepal_spawn(group, write_lines, &client, NULL) == 0)
        read_lines(room, &client);
    tepal_group_close(group);
    tepal_channel_close(client.queue);
}

static int serve(void *port)
{
    struct room room = { 0 };
    tepal_listener_serve_options options = { .max_connections = MAX_CLIENTS,
                                             .stop_on_signal = true };
    return tepal_listener_open_and_serve(&(tepal_listener_options){ .port = atoi(port) }, chat,
                                         &room, &options);
}

int main(int argc, char **argv)
{
    return tepal_main(serve, argc > 1 ? argv[1] : "7777") < 0;
}
