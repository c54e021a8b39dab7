/* The to-do items: two connections to SQLite, one that reads and one that writes, with their
 * prepared statements. Each has a lock, because tasks take turns with it: readers need not wait for
 * writers (the journal is a write-ahead log). Nothing here knows HTTP. */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <tepal.h>

#define COLUMNS "id, title, done, created"
#define TURN_MS 5000   /* how long a task waits for its turn */
#define OTHERS_MS 2000 /* how long a turn waits for another program that has locked the file */

static const char SCHEMA[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE IF NOT EXISTS todos ("
    "    id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "    title TEXT NOT NULL,"
    "    done INTEGER NOT NULL DEFAULT 0,"
    "    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')));";

/* Each gives the items that it found, added, changed or removed.
 * The parameters are ?1 the id, ?2 the title (or NULL), ?3 done (or NULL). */
enum statement { LIST, GET, ADD, CHANGE, REMOVE, REMOVE_DONE, STATEMENTS };

static const char *const SQL[STATEMENTS] = {
    [LIST] = "SELECT " COLUMNS " FROM todos ORDER BY id",
    [GET] = "SELECT " COLUMNS " FROM todos WHERE id = ?1",
    [ADD] = "INSERT INTO todos (title) SELECT ?2 WHERE (SELECT count(*) FROM todos) < 1000"
            " RETURNING " COLUMNS,
    [CHANGE] = "UPDATE todos SET title = coalesce(?2, title), done = coalesce(?3, done)"
               " WHERE id = ?1 RETURNING " COLUMNS,
    [REMOVE] = "DELETE FROM todos WHERE id = ?1 RETURNING " COLUMNS,
    [REMOVE_DONE] = "DELETE FROM todos WHERE done RETURNING " COLUMNS,
};

struct connection {
    tepal_mutex lock;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

struct store {
    struct connection reader, writer;
};

/* What a task hands to a thread, and gets back. */
struct job {
    struct connection *connection;
    enum statement statement;
    int64_t id;
    struct store_change values;
    json_t *items;
};

/* --- In a thread of the pool ------------------------------------------------------------------ */

/* The error number for a result of SQLite, whose own words are logged. */
static int failure(sqlite3 *db, int code)
{
    if (code == SQLITE_OK || code == SQLITE_DONE)
        return 0;
    tepal_logf(TEPAL_LOG_ERROR, "SQLite: %s", db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

static void disconnect(struct connection *connection)
{
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_close(connection->db);
}

static int close_in_thread(void *arg)
{
    struct store *store = arg;
    disconnect(&store->reader);
    disconnect(&store->writer);
    free(store);
    return 0;
}

struct opening {
    const char *path;
    struct store *store;
};

/* Opens a connection and prepares the statements from first to last. */
static int connect_to(struct connection *connection, const char *path, int first, int last)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &connection->db, flags, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(connection->db, OTHERS_MS);
    if (code == SQLITE_OK)
        code = sqlite3_exec(connection->db, SCHEMA, NULL, NULL, NULL);
    for (int i = first; i <= last && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(connection->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &connection->statements[i], NULL);
    return failure(connection->db, code);
}

static int open_in_thread(void *arg)
{
    struct opening *opening = arg;
    int rc = connect_to(&opening->store->writer, opening->path, ADD, REMOVE_DONE);
    return rc < 0 ? rc : connect_to(&opening->store->reader, opening->path, LIST, GET);
}

static int bind_values(sqlite3_stmt *statement, const struct job *job)
{
    int count = sqlite3_bind_parameter_count(statement);
    int code = SQLITE_OK;

    if (count >= 1)
        code = sqlite3_bind_int64(statement, 1, job->id);
    if (count >= 2 && code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 2, job->values.title, -1, SQLITE_STATIC);
    if (count >= 3 && code == SQLITE_OK && job->values.done >= 0)
        code = sqlite3_bind_int(statement, 3, job->values.done);
    return code;
}

/* The row of COLUMNS that the statement stands at. */
static json_t *item_of(sqlite3_stmt *statement)
{
    return json_pack("{s:I, s:s, s:b, s:s}", "id", (json_int_t)sqlite3_column_int64(statement, 0),
                     "title", (const char *)sqlite3_column_text(statement, 1), "done",
                     sqlite3_column_int(statement, 2), "created",
                     (const char *)sqlite3_column_text(statement, 3));
}

static int run_in_thread(void *arg)
{
    struct job *job = arg;
    sqlite3 *db = job->connection->db;
    sqlite3_stmt *statement = job->connection->statements[job->statement];

    int code = bind_values(statement, job);
    int rc = code == SQLITE_OK ? 0 : failure(db, code);
    while (rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
        if (json_array_append_new(job->items, item_of(statement)) < 0)
            rc = -ENOMEM;
    if (rc == 0)
        rc = failure(db, code);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

/* --- In a task -------------------------------------------------------------------------------- */

int store_open(const char *path, struct store **store)
{
    *store = NULL;
    /* SQLite takes these for a database that is gone with the program. */
    if (!*path || strcmp(path, ":memory:") == 0) {
        tepal_logf(TEPAL_LOG_ERROR, "the database must be a file, not \"%s\"", path);
        return -EINVAL;
    }
    *store = calloc(1, sizeof(**store));
    if (!*store)
        return -ENOMEM;

    struct opening opening = { path, *store };
    int rc = tepal_offload(open_in_thread, &opening);
    if (rc < 0) {
        tepal_logf(TEPAL_LOG_ERROR, "cannot open %s", path);
        store_close(*store);
        *store = NULL;
    }
    return rc;
}

void store_close(struct store *store)
{
    /* Where no thread is to be had (out of memory, cancelled) the loop can wait for once. */
    if (store && tepal_offload(close_in_thread, store) < 0)
        close_in_thread(store);
}

/* Runs a job in a thread when its connection is free. */
static int take_turn(struct job *job)
{
    int64_t before = tepal_deadline_in_ms(TURN_MS);
    int rc = tepal_mutex_lock(&job->connection->lock);
    tepal_deadline_restore(before);
    if (rc < 0)
        return rc;
    rc = tepal_offload(run_in_thread, job);
    tepal_mutex_unlock(&job->connection->lock);
    return rc;
}

static int run(struct job *job, json_t **items)
{
    job->items = json_array();
    int rc = job->items ? take_turn(job) : -ENOMEM;
    if (rc < 0)
        json_decref(job->items);
    *items = rc < 0 ? NULL : job->items;
    return rc;
}

static int run_for_one(struct job *job, json_t **item)
{
    json_t *items;
    int rc = run(job, &items);
    *item = json_incref(json_array_get(items, 0));
    json_decref(items);
    return rc == 0 && !*item ? -ENOENT : rc;
}

int store_list(struct store *store, json_t **items)
{
    return run(&(struct job){ .connection = &store->reader, .statement = LIST }, items);
}

int store_get(struct store *store, int64_t id, json_t **item)
{
    return run_for_one(&(struct job){ .connection = &store->reader, .statement = GET, .id = id },
                       item);
}

int store_add(struct store *store, const char *title, json_t **item)
{
    struct job job = { .connection = &store->writer, .statement = ADD, .values.title = title };
    int rc = run_for_one(&job, item);
    return rc == -ENOENT ? -EDQUOT : rc;
}

int store_change(struct store *store, int64_t id, const struct store_change *change, json_t **item)
{
    struct job job = {
        .connection = &store->writer, .statement = CHANGE, .id = id, .values = *change
    };
    return run_for_one(&job, item);
}

int store_remove(struct store *store, int64_t id)
{
    json_t *item;
    struct job job = { .connection = &store->writer, .statement = REMOVE, .id = id };
    int rc = run_for_one(&job, &item);
    json_decref(item);
    return rc;
}

int store_remove_done(struct store *store, json_t **items)
{
    return run(&(struct job){ .connection = &store->writer, .statement = REMOVE_DONE }, items);
}
