/*
 * A main for fuzz targets without libFuzzer: replays the files of the corpus directories given as
 * arguments, then so many mutations of them as FUZZ_INPUTS says (2,000 if unset), the same ones
 * in every run. FUZZ_SEED chooses others. A crash leaves the input in ./fuzz-crash-PROGRAM.
 *
 * It uses nothing of the layers: some of their names exist in servers, too, with which targets may
 * be linked.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_MAX = 4096, INPUT_BYTES_MAX = 64 * 1024, MUTATIONS_MAX = 8 };

struct input {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct random {
    uint64_t state;
};

/* SplitMix64. */
static uint64_t random_u64(struct random *random)
{
    random->state += 0x9E3779B97F4A7C15ULL;
    uint64_t mixed = random->state;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBULL;
    return mixed ^ mixed >> 31;
}

/* Below `bound`, which is not 0; even enough for bounds as small as here. */
static size_t random_below(struct random *random, size_t bound)
{
    return (size_t)(random_u64(random) % bound);
}

static struct input inputs[INPUTS_MAX];
static size_t input_count;
static struct input current; /* what runs now; saved on a crash */
static char crash_path[PATH_MAX];

/* Appends `size` bytes of no particular value and returns them. */
static uint8_t *extend(struct input *input, size_t size)
{
    if (input->capacity - input->size < size || input->data == NULL) {
        input->capacity = 2 * (input->size + size) + 64;
        input->data = realloc(input->data, input->capacity);
        if (input->data == NULL) {
            exit(2);
        }
    }
    input->size += size;
    return input->data + input->size - size;
}

static void append(struct input *input, const void *data, size_t size)
{
    uint8_t *end = extend(input, size);
    if (size > 0) {
        memcpy(end, data, size);
    }
}

static void save_and_die(int signal_number)
{
    int file = open(crash_path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    if (file >= 0) {
        ssize_t written = write(file, current.data, current.size);
        (void)written;
        close(file);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void load_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || input_count == INPUTS_MAX) {
        fprintf(stderr, "cannot take %s\n", path);
        exit(2);
    }
    struct input *input = &inputs[input_count++];
    extend(input, 0);
    uint8_t chunk[4096];
    size_t size;
    while ((size = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        append(input, chunk, size);
    }
    fclose(file);
}

/* A directory's files in the order of their names, so that every run is the same; or one file. */
static void load_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return; /* a target without a corpus starts from nothing */
    }
    if (!S_ISDIR(status.st_mode)) {
        load_file(path);
        return;
    }
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        int length = snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && length > 0 && (size_t)length < sizeof(file)) {
            load_file(file);
        }
        free(names[i]);
    }
    if (count >= 0) {
        free(names);
    }
}

/* Runs the target on a copy of exactly the input's size, so that a sanitizer sees its end. */
static void run(void)
{
    uint8_t *copy = malloc(current.size == 0 ? 1 : current.size);
    if (copy == NULL) {
        exit(2);
    }
    if (current.size > 0) {
        memcpy(copy, current.data, current.size);
    }
    LLVMFuzzerTestOneInput(copy, current.size);
    free(copy);
}

/* Cuts `current` somewhere and appends a piece of another input. */
static void splice_inputs(struct random *random)
{
    current.size = random_below(random, current.size + 1);
    if (input_count > 0) {
        const struct input *other = &inputs[random_below(random, input_count)];
        size_t start = random_below(random, other->size + 1);
        size_t size = random_below(random, other->size - start + 1);
        if (current.size + size <= INPUT_BYTES_MAX) {
            append(&current, other->data + start, size);
        }
    }
}

static void mutate(struct random *random)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
    if (current.size == 0) {
        size_t size = random_below(random, 64);
        uint8_t *fresh = extend(&current, size);
        for (size_t i = 0; i < size; i++) {
            fresh[i] = (uint8_t)random_u64(random);
        }
        return;
    }
    size_t at = random_below(random, current.size);
    switch (random_below(random, 6)) {
    case 0:
        current.data[at] ^= (uint8_t)(1U << random_below(random, 8));
        return;
    case 1:
        current.data[at] = edges[random_below(random, sizeof(edges))];
        return;
    case 2:
        current.data[at] = (uint8_t)random_u64(random);
        return;
    case 3: {
        size_t size = 1 + random_below(random, current.size - at);
        memmove(current.data + at, current.data + at + size, current.size - at - size);
        current.size -= size;
        return;
    }
    case 4:
        *extend(&current, 1) = (uint8_t)random_u64(random);
        memmove(current.data + at + 1, current.data + at, current.size - at - 1);
        return;
    default:
        splice_inputs(random);
        return;
    }
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 0);
}

int main(int argument_count, char **arguments)
{
    const char *slash = strrchr(arguments[0], '/');
    snprintf(crash_path, sizeof(crash_path), "fuzz-crash-%s",
             slash == NULL ? arguments[0] : slash + 1);
    signal(SIGABRT, save_and_die);
    signal(SIGSEGV, save_and_die);
    for (int i = 1; i < argument_count; i++) {
        load_path(arguments[i]);
    }
    for (size_t i = 0; i < input_count; i++) {
        current.size = 0;
        append(&current, inputs[i].data, inputs[i].size);
        run();
    }
    uint64_t seed = number_from("FUZZ_SEED", 1);
    uint64_t mutated = number_from("FUZZ_INPUTS", 2000);
    for (uint64_t i = 0; i < mutated; i++) {
        struct random random = {seed + i};
        random.state = random_u64(&random); /* seeds that follow one another share nothing */
        current.size = 0;
        if (input_count > 0) {
            const struct input *input = &inputs[random_below(&random, input_count)];
            append(&current, input->data, input->size);
        }
        uint64_t mutations = 1 + random_below(&random, MUTATIONS_MAX);
        for (uint64_t m = 0; m < mutations; m++) {
            mutate(&random);
        }
        run();
    }
    printf("%zu inputs and %llu mutations passed\n", input_count, (unsigned long long)mutated);
    free(current.data);
    for (size_t i = 0; i < input_count; i++) {
        free(inputs[i].data);
    }
    return 0;
}
