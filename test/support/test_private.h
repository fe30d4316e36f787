/* What the main of the test programs and the files of support/ share. */
#ifndef SUPPORT_TEST_PRIVATE_H
#define SUPPORT_TEST_PRIVATE_H

/* Prints the name of each TEST, one a line. */
void test_list(void);

/* Runs the TESTs whose names contain `part`; returns the exit status for main. */
int test_run_all(const char *part);

/* Removes the directories that test_directory made. */
void test_remove_directories(void);

#endif
