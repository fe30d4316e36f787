/* The life of the process, from its arguments to its exit status. */
#ifndef COREDB_SERVER_APP_H
#define COREDB_SERVER_APP_H

/*
 * Runs the server until it is told to stop: 0 after SIGTERM, SIGINT or SHUTDOWN, 1 on a failure, 2 on a wrong
 * command line or configuration. Main thread, once per process.
 */
int app_run(int argument_count, char **arguments);

#endif
