/* inputs: the values that a runbook names once and uses as ${inputs.NAME}. */
#include "base/text.h"

#include "runbook_check.h"

#include <string.h>

enum input_type {
    INPUT_STRING,
    INPUT_INT,
    INPUT_BOOL,
    INPUT_DURATION,
    INPUT_SIZE,
    INPUT_TIME
};

struct input {
    enum input_type type;
    char *value;
};

static bool
input_fits(const struct input *in)
{
    uint64_t u;
    int64_t s;

    switch (in->type) {
    case INPUT_INT:
        return text_uint(in->value, UINT64_MAX, &u);
    case INPUT_BOOL:
        return strcmp(in->value, "true") == 0 || strcmp(in->value, "false") == 0;
    case INPUT_DURATION:
        return text_duration(in->value, &s);
    case INPUT_SIZE:
        return text_size(in->value, &u);
    case INPUT_TIME:
        return text_time(in->value, &s);
    default:
        return true;
    }
}

static int
add_input(struct runbook *rb, const struct yaml_node *n, struct err *e)
{
    static const char *const types[] = { "string", "int",  "bool", "duration",
                                         "size",   "time", NULL };
    static const struct conf_key keys[] = {
        { .name = "type",
          .type = CONF_ENUM,
          .at = offsetof(struct input, type),
          .words = types },
        { .name = "default",
          .type = CONF_STRING,
          .at = offsetof(struct input, value),
          .flags = CONF_REQUIRED },
        { .type = CONF_END },
    };
    struct input in = { INPUT_STRING, NULL };

    if (schema_fill(keys, n, &in, e) < 0) {
        schema_release(keys, &in);
        return -1;
    }
    rb->inputs[rb->input_count++] = (struct runbook_input){ mem_strdup(n->key),
                                                            in.value };
    if (input_fits(&in))
        return 0;
    return yaml_node_error(yaml_node_get(n, "default"), e, "\"%.60s\" is no %s", in.value,
                           types[in.type]);
}

int
runbook_inputs(struct runbook *rb, const struct yaml_node *map, struct err *e)
{
    if (!map || map->kind != YAML_MAP)
        return 0; /* the table tells */
    rb->inputs = mem_zalloc((map->count + 1) * sizeof *rb->inputs);
    for (size_t i = 0; i < map->count; i++)
        if (add_input(rb, &map->items[i], e) < 0)
            return -1;
    return 0;
}
