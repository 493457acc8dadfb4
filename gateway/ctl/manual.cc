#include "gateway/ctl/manual.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/exit_codes.h"
#include "gateway/ctl/command_tree.h"

namespace berth::gateway {
namespace {

// The character that begins at `at`, as roff names it; `at` is then its last byte.
std::string beyond_ascii(const std::string& text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  unsigned code = first & (0x3Fu >> more);
  for (int i = 0; i < more && at + 1 < text.size(); ++i)
    code = code << 6 | (static_cast<unsigned char>(text[++at]) & 0x3Fu);
  char name[16];
  std::snprintf(name, sizeof name, "\\[u%04X]", code);
  return name;
}

// As text of a page: no request, no escape, and hyphens that can be searched for and copied.
std::string roff(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (static_cast<unsigned char>(c) >= 0x80)
      out += beyond_ascii(text, i);
    else if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n'))
      out += std::string("\\&") + c;
    else
      out.push_back(c);
  }
  return out;
}

// Does the text begin with a value, which is as it is: "redis://…", "true: those that are there",
// or one of `choices`?
bool begins_with_value(const std::string& text, const std::vector<std::string>& choices) {
  std::string word = text.substr(0, text.find(' '));
  const bool names = word.ends_with(':');
  while (!word.empty() && (word.back() == ',' || word.back() == ';' || word.back() == ':'))
    word.pop_back();
  return names || word.find_first_of(":/._=") != std::string::npos ||
         std::find(choices.begin(), choices.end(), word) != choices.end();
}

std::string capital(std::string text, const std::vector<std::string>& choices = {}) {
  if (begins_with_value(text, choices)) return text;
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string option(const CommandOption& o) {
  std::string head;
  for (const std::string& name : o.names)
    head += (head.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
  if (o.names.empty()) head = "\\fI" + roff(o.argument) + "\\fR";
  if (!o.names.empty() && o.takes_value) head += " \\fIvalue\\fR";
  if (o.required) head += " (required)";
  std::string values;
  for (const std::string& c : o.choices) values += (values.empty() ? "" : ", ") + c;
  return ".TP\n" + head + "\n" + roff(capital(o.text, o.choices)) + ".\n" +
         (values.empty() ? "" : "One of " + roff(values) + ".\n");
}

std::string command(const CommandNode& n) {
  std::string out = ".SS berth " + roff(n.path) + "\n" + roff(capital(n.text)) + ".\n";
  for (const auto& v : n.verbs)
    out += ".TP\n\\fB" + roff(v.name) + "\\fR\n" + roff(capital(v.text)) + ".\n";
  for (const CommandOption& o : n.options) out += option(o);
  for (const std::string& path : n.inherited) {
    if (!path.empty()) out += ".PP\nThe options of \\fBberth " + roff(path) + "\\fR too.\n";
  }
  return out;
}

std::string exit_status() {
  const std::pair<int, const char*> codes[] = {
      {0, "It was asked to stop, or has done what it was asked."},
      {1, "ctl: the gateway refused, or is not ready."},
      {base::kExitUsage, "A flag or a file on the command line is wrong."},
      {base::kExitUnavailable, "A port, the store or the gateway is out of reach."},
      {base::kExitForbidden, "Files of the store belong to another user."},
      {base::kExitConfig, "The configuration, or a file that it names, is bad."}};
  std::string out = ".SH EXIT STATUS\n";
  for (const auto& [code, text] : codes)
    out += ".TP\n\\fB" + std::to_string(code) + "\\fR\n" + text + "\n";
  return out;
}

}  // namespace

std::string manual_page(const CLI::App& root) {
  std::string out =
      ".TH BERTH 1 2026-01-01 berth \"User Commands\"\n"
      ".SH NAME\nberth \\- a device gateway that devices do not notice being restarted\n"
      ".SH SYNOPSIS\n\\fBberth\\fR \\fIcommand\\fR [\\fIoption\\fR ...]\n"
      ".SH DESCRIPTION\n"
      "Berth holds the connections of devices (MQTT, Park) and serves their sessions.\n"
      "\\fBberth serve\\fR runs a whole gateway; \\fBberth edge\\fR and \\fBberth engine\\fR\n"
      "run the parts of a cluster; \\fBberth ctl\\fR asks one that runs.\n"
      ".SH OPTIONS\n";
  const std::vector<CommandNode> tree = command_tree(root);
  for (const CommandOption& o : tree.front().options) out += option(o);
  out += ".SH COMMANDS\n";
  for (std::size_t i = 1; i < tree.size(); ++i) out += command(tree[i]);
  out +=
      ".SH ENVIRONMENT\n"
      ".TP\n\\fBBERTH_\\fIKEY\\fR\nA setting: mqtt.listen is BERTH_MQTT_LISTEN. It overrides the\n"
      "file, a flag overrides both.\n"
      ".TP\n\\fBBERTH_\\fIKEY\\fB_FILE\\fR\nA file whose first line is the value of a setting "
      "that\n"
      "has no such file of its own.\n"
      ".TP\n\\fBBERTH_DEFAULTS_FILE\\fR\nA file of settings that the file of \\-\\-config "
      "overrides.\n"
      ".TP\n\\fBBERTH_ADMIN_TOKEN_FILE\\fR\nFor ctl, as \\-\\-token\\-file.\n"
      ".TP\n\\fBBERTH_ADMIN_SOCKET\\fR\nFor ctl, as \\-\\-socket, without \\-\\-admin.\n"
      ".TP\n\\fBBERTH_CTL_OUTPUT\\fR\nFor ctl, table or json, as \\-\\-table and \\-\\-json.\n"
      ".SH FILES\n.TP\n\\fIconfig/berth.yaml\\fR\nEvery setting with its default.\n";
  return out + exit_status() +
         ".SH SEE ALSO\ndocs/operations.md, docs/mqtt\\-devices.md, docs/platform.md\n";
}

ManualVerbs::ManualVerbs(CLI::App& root) {
  completion_ = root.add_subcommand("completion", "print the completion script of a shell");
  completion_->add_option("shell", shell_, "which one")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  manual_ = root.add_subcommand("manual", "print the man page: berth manual | man -l -");
}

std::optional<int> ManualVerbs::run(const CLI::App& root) const {
  if (*completion_) {
    std::fputs(completion_script(root, shell_).c_str(), stdout);
    return 0;
  }
  if (*manual_) {
    std::fputs(manual_page(root).c_str(), stdout);
    return 0;
  }
  return std::nullopt;
}

}  // namespace berth::gateway
