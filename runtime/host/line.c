#include "host/line.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#ifdef TIDEMARK_ASAN
#include <sanitizer/lsan_interface.h>
#endif

enum { HISTORY_LINES = 1000, COLUMNS_DEFAULT = 80, COMPLETE_ARGUMENT = 3, CTRL_C = 3 };

static const char CLASS[] = "tidemark.LineEditor";

typedef struct {
  EditLine *edit;
  History *history;
  lua_State *L;  // while a line is read
  const char *prompt;
  bool interrupted;
  char path[PATH_MAX];  // of the history; empty: it is not kept
} Editor;

// --- History ---

// Makes the folders above a path, for their owner only.
static void make_parents(char *path)
{
  for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
    *at = '\0';
    mkdir(path, S_IRWXU);  // what is missing in the end shows when the file is opened
    *at = '/';
  }
}

static void find_history(Editor *editor)
{
  const char *state = getenv("XDG_STATE_HOME");
  const char *home = getenv("HOME");
  int size = 0;
  if (state && *state == '/') {
    size = snprintf(editor->path, sizeof(editor->path), "%s/tidemark/history", state);
  } else if (home && *home == '/') {
    size = snprintf(editor->path, sizeof(editor->path), "%s/.local/state/tidemark/history", home);
  }
  if (size <= 0 || (size_t)size >= sizeof(editor->path)) {
    editor->path[0] = '\0';
    return;
  }
  make_parents(editor->path);
}

static void open_history(Editor *editor)
{
  HistEvent event;
  editor->history = history_init();
  if (!editor->history) {
    return;
  }
  history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
  history(editor->history, &event, H_SETUNIQUE, 1);
  find_history(editor);
  if (editor->path[0]) {
    history(editor->history, &event, H_LOAD, editor->path);  // there may be none yet
  }
  el_set(editor->edit, EL_HIST, history, editor->history);
}

// Whole after each line: a script that leaves by os.exit loses nothing.
static void save_history(Editor *editor)
{
  if (!editor->path[0]) {
    return;
  }
  int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
  int descriptor = open(editor->path, flags, S_IRUSR | S_IWUSR);
  FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
  if (!file) {
    editor->path[0] = '\0';  // once is enough
    return;
  }
  HistEvent event;
  history(editor->history, &event, H_SAVE_FP, file);
  fclose(file);
}

// --- Keys ---

static Editor *editor_of(EditLine *edit)
{
  void *editor = NULL;
  el_get(edit, EL_CLIENTDATA, &editor);
  return editor;
}

static char *tell_prompt(EditLine *edit)
{
  return (char *)editor_of(edit)->prompt;
}

// What signals ask of the read that they interrupt.
static volatile sig_atomic_t wants_interrupt;
static volatile sig_atomic_t wants_redraw;

static void on_signal(int number)
{
  if (number == SIGINT) {
    wants_interrupt = 1;
  } else {
    wants_redraw = 1;  // we were stopped, or the window has another size
  }
}

static void redraw(EditLine *edit)
{
  wants_redraw = 0;
  el_resize(edit);
  el_set(edit, EL_PREP_TERM, 1);
  el_set(edit, EL_REFRESH);
}

// One byte; Ctrl-C is the byte that it stands for, so that it may be bound like any other key.
// Returns as read does.
static int read_byte(EditLine *edit, char *byte)
{
  for (;;) {
    if (wants_interrupt) {
      wants_interrupt = 0;
      *byte = CTRL_C;
      return 1;
    }
    ssize_t count = read(STDIN_FILENO, byte, 1);
    if (count >= 0) {
      return (int)count;
    }
    if (errno != EINTR) {
      return -1;
    }
    if (wants_redraw) {
      redraw(edit);
    }
  }
}

// A character of one or more bytes; libedit's own would lose an interrupted read.
static int read_character(EditLine *edit, wchar_t *character)
{
  mbstate_t state = {0};
  for (;;) {
    char byte;
    int count = read_byte(edit, &byte);
    if (count != 1) {
      return count;
    }
    size_t used = mbrtowc(character, &byte, 1, &state);
    if (used == (size_t)-1) {
      *character = (unsigned char)byte;
      return 1;
    }
    if (used != (size_t)-2) {
      return 1;
    }
  }
}

static unsigned char interrupt_line(EditLine *edit, int key)
{
  (void)key;
  editor_of(edit)->interrupted = true;
  return CC_EOF;
}

static int terminal_columns(void)
{
  struct winsize size;
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col;
  return known ? size.ws_col : COLUMNS_DEFAULT;
}

// Calls complete(text, columns); leaves what to insert and what to show on the stack. [-0, +2]
static bool call_complete(lua_State *L, const LineInfo *line)
{
  lua_pushvalue(L, COMPLETE_ARGUMENT);
  lua_pushlstring(L, line->buffer, (size_t)(line->cursor - line->buffer));
  lua_pushinteger(L, terminal_columns());
  return lua_pcall(L, 2, 2, 0) == 0;
}

static unsigned char complete_line(EditLine *edit, int key)
{
  (void)key;
  lua_State *L = editor_of(edit)->L;
  int top = lua_gettop(L);
  unsigned char answer = CC_ERROR;  // a beep
  if (call_complete(L, el_line(edit))) {
    const char *insert = lua_tostring(L, -2);
    const char *listing = lua_tostring(L, -1);
    if (insert && *insert && el_insertstr(edit, insert) == 0) {
      answer = CC_REFRESH;
    }
    if (listing) {
      printf("\n%s\n", listing);
      fflush(stdout);
      answer = CC_REDISPLAY;
    }
  }
  lua_settop(L, top);
  return answer;
}

// --- Signals ---

static lua_State *volatile running;

static void stop_running(lua_State *L, lua_Debug *where)
{
  (void)where;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted");
}

static void on_interrupt(int number)
{
  (void)number;
  lua_sethook(running, stop_running, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void handle(int number, void (*handler)(int), int flags)
{
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(number, &action, NULL);
}

// While a line is read, signals interrupt the read (no SA_RESTART).
static void begin_reading(lua_State *L)
{
  handle(SIGINT, on_signal, 0);
  handle(SIGCONT, on_signal, 0);
  handle(SIGWINCH, on_signal, 0);
  lua_sethook(L, NULL, 0, 0);
}

static void end_reading(lua_State *L)
{
  running = L;
  handle(SIGINT, on_interrupt, (int)SA_RESETHAND);
  handle(SIGCONT, SIG_DFL, 0);
  handle(SIGWINCH, SIG_DFL, 0);
}

// --- The editor as a Lua object ---

static int editor_read(lua_State *L)
{
  Editor *editor = luaL_checkudata(L, 1, CLASS);
  editor->prompt = luaL_checkstring(L, 2);
  luaL_checktype(L, COMPLETE_ARGUMENT, LUA_TFUNCTION);
  lua_settop(L, COMPLETE_ARGUMENT);
  begin_reading(L);
  editor->L = L;
  editor->interrupted = false;
  el_set(editor->edit, EL_PREP_TERM, 1);  // before the prompt invites to type
  int size = 0;
  const char *line = el_gets(editor->edit, &size);
  if (editor->interrupted) {
    printf("^C\n");
    lua_pushboolean(L, false);
  } else if (!line || size <= 0) {
    lua_pushnil(L);
  } else {
    size -= line[size - 1] == '\n';
    lua_pushlstring(L, line, (size_t)size);
  }
  end_reading(L);
  return 1;
}

static int editor_add(lua_State *L)
{
  Editor *editor = luaL_checkudata(L, 1, CLASS);
  const char *line = luaL_checkstring(L, 2);
  HistEvent event;
  if (editor->history && strspn(line, " \t") < strlen(line)) {
    history(editor->history, &event, H_ENTER, line);
    save_history(editor);
  }
  return 0;
}

static int editor_close(lua_State *L)
{
  Editor *editor = luaL_checkudata(L, 1, CLASS);
  if (editor->history) {
    history_end(editor->history);
  }
  if (editor->edit) {
    el_end(editor->edit);
  }
  editor->history = NULL;
  editor->edit = NULL;
  return 0;
}

static void set_class(lua_State *L)
{
  static const luaL_Reg METHODS[] = {
      {"read", editor_read}, {"add", editor_add}, {"__gc", editor_close}, {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  luaL_register(L, NULL, METHODS);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

// libedit never frees the names of functions that are added; there are these two, once.
static void add_functions(EditLine *edit)
{
#ifdef TIDEMARK_ASAN
  __lsan_disable();
#endif
  el_set(edit, EL_ADDFN, "tidemark-complete", "completes a name", complete_line);
  el_set(edit, EL_ADDFN, "tidemark-interrupt", "gives the line up", interrupt_line);
#ifdef TIDEMARK_ASAN
  __lsan_enable();
#endif
}

static void set_keys(Editor *editor)
{
  EditLine *edit = editor->edit;
  el_set(edit, EL_CLIENTDATA, editor);
  el_set(edit, EL_GETCFN, read_character);
  el_set(edit, EL_PROMPT, tell_prompt);
  el_set(edit, EL_EDITOR, "emacs");
  add_functions(edit);
  el_set(edit, EL_BIND, "\t", "tidemark-complete", NULL);
  el_set(edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_source(edit, NULL);  // ~/.editrc
  el_set(edit, EL_BIND, "^C", "tidemark-interrupt", NULL);
}

void line_push_editor(lua_State *L)
{
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
    lua_pushnil(L);
    return;
  }
  setlocale(LC_CTYPE, "");  // libedit's idea of a character; nothing of ours asks
  Editor *editor = lua_newuserdata(L, sizeof(*editor));
  memset(editor, 0, sizeof(*editor));
  set_class(L);
  editor->edit = el_init("tidemark", stdin, stdout, stderr);
  if (!editor->edit) {
    lua_pop(L, 1);
    lua_pushnil(L);  // a terminal that libedit cannot use: plain lines
    return;
  }
  set_keys(editor);
  open_history(editor);
}
