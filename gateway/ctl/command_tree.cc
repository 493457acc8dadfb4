#include "gateway/ctl/command_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace berth::gateway {
namespace {

// "TEXT:{ecs,text}": what CLI::IsMember says of its values.
std::vector<std::string> choices_in(const std::string& type) {
  std::vector<std::string> out;
  const std::size_t from = type.find('{');
  const std::size_t to = type.find('}', from);
  if (from == std::string::npos || to == std::string::npos) return out;
  std::string one;
  for (const char c : type.substr(from + 1, to - from - 1) + ',') {
    if (c != ',') {
      one.push_back(c);
      continue;
    }
    out.push_back(one);
    one.clear();
  }
  return out;
}

CommandOption option_of(const CLI::Option& o) {
  CommandOption out;
  for (const std::string& name : o.get_snames()) out.names.push_back("-" + name);
  for (const std::string& name : o.get_lnames()) out.names.push_back("--" + name);
  out.text = o.get_description();
  out.required = o.get_required();
  out.takes_value = o.get_items_expected_max() > 0;
  out.choices = choices_in(o.get_type_name());
  const std::string name = out.names.empty() ? o.get_name(true, false) : out.names.back();
  if (out.names.empty()) out.argument = name;
  static const std::vector<std::string> kFiles{"--config", "--data", "--output", "lot", "file"};
  out.takes_file =
      out.takes_value &&
      (name.ends_with("-file") || std::find(kFiles.begin(), kFiles.end(), name) != kFiles.end());
  return out;
}

void add(const CLI::App& app, const std::string& path, const CommandNode* parent,
         std::vector<CommandNode>& out) {
  CommandNode node;
  node.path = path;
  node.text = app.get_description();
  if (parent != nullptr && app.get_fallthrough()) {
    node.inherited = parent->inherited;
    node.inherited.push_back(parent->path);
  }
  for (const CLI::Option* o : app.get_options()) node.options.push_back(option_of(*o));
  const auto shown = app.get_subcommands(
      [](const CLI::App* c) { return !c->get_group().empty() && !c->get_name().empty(); });
  for (const CLI::App* c : shown) node.verbs.push_back({c->get_name(), c->get_description()});
  out.push_back(node);
  for (const CLI::App* c : shown)
    add(*c, path.empty() ? c->get_name() : path + " " + c->get_name(), &node, out);
}

}  // namespace

std::vector<CommandNode> command_tree(const CLI::App& root) {
  std::vector<CommandNode> out;
  add(root, "", nullptr, out);
  return out;
}

}  // namespace berth::gateway
