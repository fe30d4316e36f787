/* coredb. */
#include "coredb/server/app.h"

int main(int argument_count, char **arguments)
{
    return app_run(argument_count, arguments);
}
