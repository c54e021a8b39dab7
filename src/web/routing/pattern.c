/* The parser of route patterns. Regular expressions are only cut out here; the router compiles
 * them. */
#include "web/routing/pattern.h"

#include "base/buf.h"
#include "base/mem.h"
#include "http/uri.h"
#include "web/routing/regex_text.h"

#include <errno.h>
#include <string.h>

/* Longer patterns than this are a mistake. */
enum { MAX_REGEX = 64 * 1024 };

struct parser {
    struct pattern *pattern;
    const char *at; /* what has not been parsed yet */
    const char **why;
};

static int fail(struct parser *parser, const char *why)
{
    *parser->why = why;
    return TEPAL_EPATTERN;
}

static struct pattern_piece *add_piece(struct pattern_segment *segment)
{
    size_t n = segment->n_pieces;
    struct pattern_piece *pieces = mem_resize(segment->pieces, (n + 1) * sizeof(*pieces));
    if (!pieces)
        return NULL;
    segment->pieces = pieces;
    segment->n_pieces++;
    pieces[n] = (struct pattern_piece){ 0 };
    return &pieces[n];
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static int add_name(struct parser *parser, const char *name, bool is_int)
{
    struct pattern *pattern = parser->pattern;
    for (size_t i = 0; i < pattern->n_names; i++)
        if (strcmp(pattern->names[i], name) == 0)
            return fail(parser, "two variables have the same name");
    if (pattern->n_names == PATTERN_MAX_VARIABLES)
        return fail(parser, "more than 32 variables");
    pattern->is_int[pattern->n_names] = is_int;
    pattern->names[pattern->n_names++] = name;
    return 0;
}

/* What follows the colon of a variable: int, path, or a regular expression up to the brace that
 * closes the variable. */
static int parse_type(struct parser *parser, struct pattern_piece *piece)
{
    const char *start = parser->at;
    size_t depth = 0;
    for (; *parser->at && (*parser->at != '}' || depth > 0); parser->at++) {
        if (*parser->at == '\\' && parser->at[1])
            parser->at++;
        else if (*parser->at == '{')
            depth++;
        else if (*parser->at == '}')
            depth--;
    }
    size_t len = (size_t)(parser->at - start);
    if (*parser->at != '}')
        return fail(parser, "'{' is never closed");
    if (len == 0)
        return fail(parser, "nothing behind ':'");
    if (len == 3 && memcmp(start, "int", 3) == 0)
        piece->is_int = true;
    else if (len == 4 && memcmp(start, "path", 4) == 0)
        piece->is_path = true;
    else if (!(piece->regex = mem_strndup(start, len)))
        return -ENOMEM;
    if (piece->regex && regex_text_is_word(piece->regex))
        return fail(parser, "there is no such type: behind ':' is int, path, or a regular "
                            "expression, and a mere word matches nothing but itself");
    return 0;
}

static int parse_variable(struct parser *parser, struct pattern_segment *segment)
{
    const char *name = ++parser->at;
    while (is_name_char(*parser->at, parser->at == name))
        parser->at++;
    size_t len = (size_t)(parser->at - name);
    if (len == 0)
        return fail(parser, "a variable needs a name: letters, digits and '_'");
    struct pattern_piece *piece = add_piece(segment);
    if (!piece || !(piece->text = mem_strndup(name, len)))
        return -ENOMEM;
    piece->variable = true;
    int rc = 0;
    if (*parser->at == ':') {
        parser->at++;
        rc = parse_type(parser, piece);
    }
    if (rc == 0 && *parser->at != '}')
        rc = fail(parser, *parser->at ? "a variable's name has letters, digits and '_' only"
                                      : "'{' is never closed");
    if (rc < 0)
        return rc;
    parser->at++;
    return add_name(parser, piece->text, piece->is_int);
}

/* Why fixed text, as it is written, can never be a part of a path, or can but is not meant to. */
static const char *fault_of_fixed(const char *text, size_t len)
{
    if (memchr(text, '?', len))
        return "'?' begins the query, which is no part of a path (if it is meant: %3F)";
    if (memchr(text, '#', len))
        return "'#' begins the fragment, which no server is told (if it is meant: %23)";
    if (memchr(text, '*', len))
        return "'*' stands for nothing: the rest of a path is {name:path} (if it is meant: %2A)";
    return NULL;
}

/* The same for a whole segment: the ways in which others write their variables, and what clients
 * resolve themselves. */
static const char *fault_of_segment(const char *text, size_t len)
{
    size_t name = len > 1 && strchr(":<[", text[0]) ? 1 : 0;
    while (name > 0 && name < len && is_name_char(text[name], name == 1))
        name++;
    if (text[0] == ':' && name > 1)
        return "a variable is written {name}, not :name (if the ':' is meant: %3A)";
    if (text[0] == '<' && text[len - 1] == '>')
        return "a variable is written {name}, not <name> (if the '<' is meant: %3C)";
    if (text[0] == '[' && name > 1 && name == len - 1 && text[name] == ']')
        return "a variable is written {name}, not [name] (if the '[' is meant: %5B)";
    return NULL;
}

static int parse_fixed(struct parser *parser, struct pattern_segment *segment)
{
    size_t len = strcspn(parser->at, "/{}");
    if (parser->at[len] == '}')
        return fail(parser, "'}' without '{'");
    const char *why = fault_of_fixed(parser->at, len);
    if (why)
        return fail(parser, why);
    struct pattern_piece *piece = add_piece(segment);
    if (!piece || !(piece->text = mem_strndup(parser->at, len)))
        return -ENOMEM;
    size_t decoded = uri_decode(piece->text, piece->text, len, false);
    piece->text[decoded] = '\0';
    if (strlen(piece->text) < decoded)
        return fail(parser, "an encoded NUL never matches");
    parser->at += len;
    return 0;
}

/* Appends text such that a regular expression matches it literally. */
static int append_quoted(struct buf *regex, const char *text)
{
    int rc = 0;
    for (; *text && rc == 0; text++) {
        if (!is_name_char(*text, false) && (unsigned char)*text < 0x80)
            rc = buf_append(regex, "\\", 1);
        if (rc == 0)
            rc = buf_append(regex, text, 1);
    }
    return rc;
}

/* The expression for a segment that is more than one piece. Each variable is a named group,
 * so that groups of its own do not disturb the count. The comment keeps an int, whose value is
 * bounded, apart from the same expression of the user's. */
static int make_regex(struct pattern_segment *segment)
{
    struct buf regex;
    buf_init(&regex, MAX_REGEX);
    int rc = 0;
    for (size_t i = 0; i < segment->n_pieces && rc == 0; i++) {
        const struct pattern_piece *piece = &segment->pieces[i];
        if (!piece->variable)
            rc = append_quoted(&regex, piece->text);
        else
            rc = buf_printf(&regex, "(?<tepal%zu>%s)", i,
                            piece->regex    ? piece->regex
                            : piece->is_int ? "-?[0-9]+(?#int)"
                                            : ".+");
    }
    if (rc == 0)
        rc = buf_append(&regex, "", 1);
    segment->text = regex.data;
    return rc;
}

/* The expression for a segment with variables. */
static int set_expression(struct parser *parser, struct pattern_segment *segment)
{
    if (segment->n_pieces == 1) {
        segment->text = mem_strdup(segment->pieces[0].regex);
        return segment->text ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < segment->n_pieces; i++)
        if (segment->pieces[i].regex && regex_text_counts_groups(segment->pieces[i].regex))
            return fail(parser, "a group of a segment with several parts is referred to by its "
                                "name, (?<y>...) and \\k<y>, not by a number");
    return make_regex(segment);
}

static int classify(struct parser *parser, struct pattern_segment *segment)
{
    const struct pattern_piece *first = segment->pieces;
    for (size_t i = 0; i < segment->n_pieces; i++)
        if (segment->pieces[i].is_path && (segment->n_pieces > 1 || *parser->at == '/'))
            return fail(parser, "a path variable must be the whole last segment");
    if (segment->n_pieces == 0 || (segment->n_pieces == 1 && !first->variable)) {
        segment->kind = SEGMENT_FIXED;
        segment->text = mem_strdup(segment->n_pieces ? first->text : "");
        if (!segment->text)
            return -ENOMEM;
        if (strcmp(segment->text, ".") == 0 || strcmp(segment->text, "..") == 0)
            return fail(parser, "clients resolve the segments '.' and '..': they are never sent");
        return 0;
    }
    if (segment->n_pieces > 1 || first->regex) {
        segment->kind = SEGMENT_REGEX;
        return set_expression(parser, segment);
    }
    segment->kind = first->is_int ? SEGMENT_INT : first->is_path ? SEGMENT_PATH : SEGMENT_ANY;
    return 0;
}

static int parse_segment(struct parser *parser)
{
    struct pattern *pattern = parser->pattern;
    size_t n = pattern->n_segments;
    struct pattern_segment *segments = mem_resize(pattern->segments, (n + 1) * sizeof(*segments));
    if (!segments)
        return -ENOMEM;
    pattern->segments = segments;
    pattern->n_segments++;
    segments[n] = (struct pattern_segment){ 0 };
    const char *start = parser->at;
    while (*parser->at && *parser->at != '/') {
        int rc = *parser->at == '{' ? parse_variable(parser, &segments[n])
                                    : parse_fixed(parser, &segments[n]);
        if (rc < 0)
            return rc;
    }
    size_t len = (size_t)(parser->at - start);
    const char *why = len > 0 ? fault_of_segment(start, len) : NULL;
    return why ? fail(parser, why) : classify(parser, &segments[n]);
}

int pattern_parse(struct pattern *pattern, const char *source, const char **why)
{
    *pattern = (struct pattern){ .source = mem_strdup(source) };
    struct parser parser = { .pattern = pattern, .at = source, .why = why };
    int rc = pattern->source ? 0 : -ENOMEM;
    if (rc == 0 && *source != '/')
        rc = fail(&parser, "a pattern begins with '/'");
    while (rc == 0 && *parser.at == '/') {
        parser.at++;
        rc = parse_segment(&parser);
    }
    if (rc < 0)
        pattern_clear(pattern);
    return rc;
}

bool pattern_is_int(tepal_bytes text)
{
    size_t i = text.len > 0 && text.data[0] == '-';
    uint64_t max = i ? (uint64_t)INT64_MAX + 1 : INT64_MAX, value = 0;
    if (i == text.len)
        return false;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    return true;
}

void pattern_clear(struct pattern *pattern)
{
    for (size_t i = 0; i < pattern->n_segments; i++) {
        struct pattern_segment *segment = &pattern->segments[i];
        for (size_t j = 0; j < segment->n_pieces; j++) {
            mem_free(segment->pieces[j].text);
            mem_free(segment->pieces[j].regex);
        }
        mem_free(segment->pieces);
        mem_free(segment->text);
    }
    mem_free(pattern->segments);
    mem_free(pattern->source);
    *pattern = (struct pattern){ 0 };
}
