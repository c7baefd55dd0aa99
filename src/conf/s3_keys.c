#include "s3_keys.h"

#include <string.h>

const char *const conf_styles[] = { "auto", "path", "host", NULL };

int
s3_keys_check(const char *endpoint, const struct conf_credentials *c,
              const struct yaml_node *n, struct err *e)
{
    if (endpoint && strncmp(endpoint, "http://", 7) != 0
        && strncmp(endpoint, "https://", 8) != 0)
        return yaml_node_error(yaml_node_get(n, "endpoint"), e,
                               "the endpoint must begin with http:// or https://");
    if ((c->access_key.from == SECRET_NONE) != (c->secret_key.from == SECRET_NONE))
        return yaml_node_error(yaml_node_get(n, "credentials"), e,
                               "access-key and secret-key go together");
    return 0;
}
