// A command's topic or payload in a vendor's words: text with marks, %i for one, in whose place
// each command puts its own (registry.proto, CommandRule). Immutable; any thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/charset.h"

namespace berth::gateway::registry {

// What one command puts in the place of the marks.
struct CommandFill {
  std::string_view device, site, child;  // of the connection that it goes over
  std::string_view id, payload;
  std::int64_t wall_ms = 0;           // now, since 1970
  std::int64_t deadline_unix_ms = 0;  // 0: none
  std::int64_t ttl_ms = 0;            // left now
};

class CommandText {
 public:
  enum class Marks : bool { of_topic, all };  // of a topic: %d %s %c %i
  // Throws BadProfile: %{ without }, or a pointer that is none.
  CommandText(std::string_view text, Marks marks);

  // Of the charset of the payload in base64 and of what %{/a/b} finds.
  struct How {
    base::Charset charset = base::Charset::utf8;
    const std::map<std::string, std::string, std::less<>>* values = nullptr;  // may be empty
  };
  // Of at most kFilledMax bytes, in UTF-8. False: `why`, without a value of the payload.
  bool fill(const CommandFill& fill, const How& how, std::string& out, std::string& why) const;
  static constexpr std::size_t kFilledMax = std::size_t{1} << 20;

 private:
  struct Part {
    char mark = 0;      // 0: `text` as it is
    std::string text;   // of '{': the JSON pointer
    bool bare = false;  // of '{', in JSON outside of a string: numbers, true and false only
  };
  bool put(const Part& p, const CommandFill& fill, const How& how, std::string& out,
           std::string& why) const;
  std::vector<Part> parts_;
};

// A filter that a topic with marks matches, whatever stands in their places.
std::string filter_of_pattern(std::string_view pattern);
std::string json_inside(std::string_view text);  // of a JSON string, without its quotes

}  // namespace berth::gateway::registry
