// The command line's description of itself, made from the same tree of commands that parses it:
// `berth completion bash|zsh` and `berth manual` (man page). What is added to the tree is in them.
#pragma once

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace berth::gateway {

class ManualVerbs {
 public:
  // Adds both to the root, which outlives this object.
  explicit ManualVerbs(CLI::App& root);
  ManualVerbs(const ManualVerbs&) = delete;  // the command line's options point to members
  ManualVerbs& operator=(const ManualVerbs&) = delete;

  // After parsing. The exit code; nothing: it was another command.
  std::optional<int> run(const CLI::App& root) const;

 private:
  CLI::App* completion_ = nullptr;
  CLI::App* manual_ = nullptr;
  std::string shell_;
};

// For `shell`: bash or zsh.
std::string completion_script(const CLI::App& root, const std::string& shell);
// In the language of man(7).
std::string manual_page(const CLI::App& root);

}  // namespace berth::gateway
