#include <algorithm>

#include "gateway/ctl/command_tree.h"
#include "gateway/ctl/manual.h"

namespace berth::gateway {
namespace {

// In single quotes for a shell.
std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += R"('\'')";
    else
      out.push_back(c);
  }
  return out + "'";
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : between) + w;
  return out;
}

// Its own options and those of its parents that may follow it.
std::vector<const CommandOption*> options_of(const std::vector<CommandNode>& tree,
                                             const CommandNode& node) {
  std::vector<const CommandOption*> out;
  const auto take = [&out](const CommandNode& n) {
    for (const CommandOption& o : n.options) {
      const bool there = std::any_of(out.begin(), out.end(), [&o](const CommandOption* known) {
        return !o.names.empty() && known->names == o.names;
      });
      if (!there) out.push_back(&o);
    }
  };
  take(node);
  for (const std::string& path : node.inherited) {
    for (const CommandNode& n : tree) {
      if (n.path == path) take(n);
    }
  }
  return out;
}

std::string pattern(const CommandNode& n) {
  return "'" + n.path + "'";
}

// Two case branches for each command: what may follow it, and what the value of an option may be.
// In the second `$at $before` is the command and the option.
struct Branches {
  std::string words, values;
};

// Words of a command without their descriptions.
Branches for_bash(const std::vector<CommandNode>& tree) {
  Branches out;
  for (const CommandNode& n : tree) {
    std::vector<std::string> words;
    for (const auto& v : n.verbs) words.push_back(v.name);
    bool file = false;
    for (const CommandOption* o : options_of(tree, n)) {
      words.insert(words.end(), o->names.begin(), o->names.end());
      file = file || (o->names.empty() && o->takes_file);
      if (o->names.empty()) words.insert(words.end(), o->choices.begin(), o->choices.end());
      if (o->names.empty() || !o->takes_value) continue;
      std::vector<std::string> at;
      for (const std::string& name : o->names) at.push_back("'" + n.path + " " + name + "'");
      out.values += "    " + joined(at, "|") + ") ";
      out.values +=
          o->takes_file ? "files=yes" : "values=" + quoted_for_shell(joined(o->choices, " "));
      out.values += " ;;\n";
    }
    out.words += "    " + pattern(n) + ") words=" + quoted_for_shell(joined(words, " ")) +
                 (file ? " files=yes" : "") + " ;;\n";
  }
  return out;
}

// name:description, for _describe; a colon in either would end it.
std::string described(const std::string& name, const std::string& text) {
  std::string clean = text;
  std::replace(clean.begin(), clean.end(), ':', ' ');
  return quoted_for_shell(name + ":" + clean);
}

Branches for_zsh(const std::vector<CommandNode>& tree) {
  Branches out = for_bash(tree);
  out.words.clear();
  for (const CommandNode& n : tree) {
    std::string verbs, flags;
    for (const auto& v : n.verbs) verbs += " " + described(v.name, v.text);
    bool file = false;
    for (const CommandOption* o : options_of(tree, n)) {
      for (const std::string& name : o->names) flags += " " + described(name, o->text);
      if (!o->names.empty()) continue;
      for (const std::string& value : o->choices) verbs += " " + described(value, o->text);
      file = file || (o->names.empty() && o->takes_file);
    }
    out.words += "    " + pattern(n) + ")\n      verbs=(" + verbs + ")\n      flags=(" + flags +
                 ")\n" + (file ? "      files=yes\n" : "") + "      ;;\n";
  }
  return out;
}

// Each path of a command with its verbs, as a pattern: "'ctl quarantine'|'ctl ready'".
std::string paths(const std::vector<CommandNode>& tree) {
  std::vector<std::string> out;
  for (const CommandNode& n : tree) {
    if (!n.path.empty()) out.push_back(pattern(n));
  }
  return joined(out, "|");
}

// Options with a value, whatever the command: the word behind one is no command.
std::string with_values(const std::vector<CommandNode>& tree) {
  std::vector<std::string> out;
  for (const CommandNode& n : tree) {
    for (const CommandOption& o : n.options) {
      for (const std::string& name : o.names) {
        if (o.takes_value && std::find(out.begin(), out.end(), name) == out.end())
          out.push_back(name);
      }
    }
  }
  return joined(out, "|");
}

// `words` is the shell's array of words; the loop leaves the command in `at` and the word before
// the one that is completed in `before`.
std::string walk(const std::vector<CommandNode>& tree, const char* words) {
  return "  local at='' before='' word='' next=''\n"
         "  for word in " +
         std::string(words) +
         "; do\n"
         "    case $before in\n"
         "      " +
         with_values(tree) +
         ") before=''; continue ;;\n"
         "    esac\n"
         "    before=$word\n"
         "    next=${at:+$at }$word\n"
         "    case $next in\n"
         "      " +
         paths(tree) +
         ") at=$next ;;\n"
         "    esac\n"
         "  done\n";
}

std::string bash(const std::vector<CommandNode>& tree) {
  const Branches b = for_bash(tree);
  return "# Completion of berth for bash: `berth completion bash` made it.\n"
         "# shellcheck shell=bash disable=SC2207\n"
         "_berth() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} words='' values='' files='' value=''\n" +
         walk(tree, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"") + "  case \"$at $before\" in\n" +
         b.values +
         "    *) value=none ;;\n  esac\n"
         "  if [ \"$value\" = none ]; then\n"
         "    case \"$at\" in\n" +
         b.words +
         "    esac\n  fi\n"
         "  COMPREPLY=($(compgen -W \"$words $values\" -- \"$cur\"))\n"
         "  [ -z \"$files\" ] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
         "}\n"
         "complete -o filenames -F _berth berth\n";
}

std::string zsh(const std::vector<CommandNode>& tree) {
  const Branches b = for_zsh(tree);
  return "#compdef berth\n"
         "# Completion of berth for zsh: `berth completion zsh` made it.\n"
         "_berth() {\n"
         "  local values='' files='' value=''\n"
         "  local -a verbs flags\n" +
         walk(tree, "\"${(@)words[2,CURRENT-1]}\"") + "  case \"$at $before\" in\n" + b.values +
         "    *) value=none ;;\n  esac\n"
         "  if [[ $value == none ]]; then\n"
         "    case \"$at\" in\n" +
         b.words +
         "    esac\n"
         "    (( $#verbs )) && _describe -t commands command verbs\n"
         "    (( $#flags )) && _describe -t options option flags\n"
         "  fi\n"
         "  [[ -n $values ]] && compadd -- ${=values}\n"
         "  [[ -n $files ]] && _files\n"
         "  return 0\n"
         "}\n"
         "if [[ $funcstack[1] == _berth ]]; then _berth \"$@\"; else compdef _berth berth; fi\n";
}

}  // namespace

std::string completion_script(const CLI::App& root, const std::string& shell) {
  const std::vector<CommandNode> tree = command_tree(root);
  return shell == "zsh" ? zsh(tree) : bash(tree);
}

}  // namespace berth::gateway
