// The lines of a file of rights or passwords, read as Mosquitto reads them: a byte order mark, CRLF
// and blanks at the end of a line are nothing of the line's; empty lines and those that begin with
// '#' are left out. What could be taken for something else than was meant (a control character,
// bytes that are no UTF-8, a file that can't be read to its end) is an error with file:line, so
// that no line is passed over in silence. One thread, while a file is loaded.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace berth::gateway::engine {

class SecurityFile {
 public:
  explicit SecurityFile(std::string path);  // throws std::runtime_error
  // The next line, without blanks at its end; false: there is none. Throws std::runtime_error.
  bool next(std::string_view& line);
  // What is wrong with the line that next() has returned, with file:line in front.
  std::runtime_error bad(const std::string& why) const;

 private:
  std::string path_;
  std::istringstream in_;
  std::string line_;
  int number_ = 0;
};

std::string_view trimmed(std::string_view s);  // without spaces and tabs at both ends
// The first word of `rest`, which begins behind it and the blanks that follow then.
std::string_view take_word(std::string_view& rest);

}  // namespace berth::gateway::engine
