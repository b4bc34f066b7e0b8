#pragma once
// Grids and answers in the format that was asked for, and colour where it is welcome.

#include <stdio.h>

#include "cli/args.h"
#include "cli/grid.h"

void print_grid(const Grid *grid, Format format, Buf *out);
// Aligned, numbers to the right; a line per cell where stdout is a terminal that is too narrow.
void print_grid_table(const Grid *grid, Buf *out);
void print_grid_json(const Grid *grid, Buf *out);  // an array of objects, one per line
void print_grid_csv(const Grid *grid, Buf *out);   // RFC 4180 with lines ended by LF

// A map about one thing: its plain fields first, then each list of records as a grid of its own.
void print_record(MpReader record, Buf *out, Arena *arena);

// The same map as one line of JSON; its times, and those of maps in it, as RFC 3339.
void print_record_json(MpReader record, Buf *out);

// A whole answer as one line of JSON.
void print_json_value(MpReader value, Buf *out);

typedef enum { COLOUR_NONE, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BOLD } Colour;

// Escape sequence, or "" where `file` is no terminal or NO_COLOR is set (no-color.org).
const char *print_colour(FILE *file, Colour colour);

// Writes everything; a failure shows when the file is flushed (cli_run checks that).
void print_out(FILE *file, const Buf *text);

// A line on stderr unless --quiet.
void print_note(const Args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

// What a command failed with, on stderr.
void print_error(const Args *args, const Error *err);
