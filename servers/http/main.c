/* rockraft-http. */
#include "http/app.h"

int main(int argument_count, char **arguments)
{
    return app_run(argument_count, arguments);
}
