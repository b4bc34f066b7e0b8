#pragma once
// Lines from a terminal, with editing, history and completion. The REPL's; nobody else includes
// libedit.

#include <lua.h>

// Pushes an editor, or nil where stdin or stdout is no terminal. [-0, +1], may raise.
//
//   editor:read(prompt, complete)  the line without its end; nil at the end of the input, false
//                                  when Ctrl-C ended the line. Tab calls complete(text before the
//                                  cursor, columns of the terminal) → text to insert, text to show.
//   editor:add(line)               puts a line into the history and its file
//
// After a line was read, Ctrl-C raises "interrupted" in what runs, and the second one ends the
// process; this ends with the next read.
void line_push_editor(lua_State *L);
