// stubs: what an editor needs to know of a project.

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/stubs.h"
#include "cli/trial.h"

bool cmd_stubs_run(Args *args, Error *err)
{
  Trial trial;
  bool good = trial_open(&trial, args, err) && stubs_write_words(".", args->arena, err)
              && stubs_write_rows(trial.session.engine, trial.declared.catalog, args->arena, err);
  trial_close(&trial);
  if (good) {
    print_note(args, ".tidemark/stubs is fresh; .luarc.json tells the editor of it: "
                     "\"workspace.library\": [\".tidemark/stubs\"]");
  }
  return good;
}
