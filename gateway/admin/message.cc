#include "gateway/admin/message.h"

#include <cctype>

namespace berth::gateway::admin {

namespace {

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool has_media_type(const Request& request, const std::string& type) {
  const std::string said = lower_case(request.header("content-type"));
  const std::size_t end = said.find(';');
  if (trimmed(said.substr(0, end)) != type) return false;
  if (end == std::string::npos) return true;
  const std::string parameter = trimmed(said.substr(end + 1));
  return parameter == "charset=utf-8" || parameter == "charset=\"utf-8\"";
}

}  // namespace berth::gateway::admin
