// The tree of commands as plain data, for what is made from it (manual.h).
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace berth::gateway {

struct CommandOption {
  std::vector<std::string> names;    // with their dashes; empty: a positional argument
  std::string argument;              // of a positional argument its name
  std::string text;                  // what it is
  std::vector<std::string> choices;  // its values, if there are only these
  bool takes_value = false;
  bool takes_file = false;
  bool required = false;
};

struct CommandNode {
  std::string path;  // "", "ctl", "ctl registry", …
  std::string text;
  std::vector<CommandOption> options;  // its own
  std::vector<std::string> inherited;  // paths whose options may follow too
  struct Verb {
    std::string name, text;
  };
  std::vector<Verb> verbs;
};

// Parents before their children. Commands without a group are hidden, and left out.
std::vector<CommandNode> command_tree(const CLI::App& root);

}  // namespace berth::gateway
