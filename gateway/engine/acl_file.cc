#include "gateway/engine/acl_file.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "protocol/mqtt/topic.h"

namespace berth::gateway::engine {
namespace {

// An id that holds a wildcard or a separator would widen the pattern: such a client matches none.
bool substitutable(std::string_view id) {
  return !id.empty() && id.find_first_of("+#/") == std::string_view::npos;
}

// False: the pattern needs an id that this client does not have.
bool substitute(const std::string& pattern, const session::Identity& who, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (pattern[i] != '%' || (next != 'u' && next != 'c')) {
      out.push_back(pattern[i]);
      continue;
    }
    const std::string_view id = next == 'u' ? who.user_name : who.client_id;
    if (!substitutable(id)) return false;
    out.append(id);
    ++i;
  }
  return true;
}

}  // namespace

AclFile AclFile::load(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ":0: cannot be read");
  AclFile file;
  std::string user;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    std::istringstream words(line);
    std::string keyword;
    if (!(words >> keyword) || keyword[0] == '#') continue;
    const auto bad = [&](const std::string& why) {
      return std::runtime_error(path + ":" + std::to_string(number) + ": " + why);
    };
    std::string rest;
    std::getline(words >> std::ws, rest);
    if (keyword == "user") {
      if (rest.empty()) throw bad("user without a name");
      user = rest;
      continue;
    }
    if (keyword != "topic" && keyword != "pattern") throw bad("unknown keyword '" + keyword + "'");
    Rule rule{Right::readwrite, rest};
    const std::size_t space = rest.find(' ');
    const std::string first = rest.substr(0, space);
    const bool has_right = space != std::string::npos;
    if (has_right && first == "read")
      rule.right = Right::read;
    else if (has_right && first == "write")
      rule.right = Right::write;
    else if (has_right && first == "deny")
      rule.right = Right::deny;
    else if (!has_right || first != "readwrite")
      rule.filter = rest;
    if (has_right &&
        (first == "read" || first == "write" || first == "deny" || first == "readwrite")) {
      rule.filter = rest.substr(space + 1);
    }
    if (!protocol::mqtt::valid_topic_filter(rule.filter))
      throw bad("bad topic filter '" + rule.filter + "'");
    (keyword == "pattern" ? file.patterns_ : file.users_[user]).push_back(std::move(rule));
  }
  return file;
}

bool AclFile::allowed(const session::Identity& who, std::string_view topic, Right wanted,
                      bool subscribe) const {
  bool granted = false;
  const auto judge = [&](Right right, std::string_view filter) {
    if (right == Right::deny) {  // a denied topic inside a wider subscription denies the whole
      return subscribe ? !protocol::mqtt::filters_overlap(filter, topic)
                       : !protocol::mqtt::filter_matches(filter, topic);
    }
    if ((static_cast<int>(right) & static_cast<int>(wanted)) == 0) return true;
    granted = granted || (subscribe ? protocol::mqtt::filter_covers(filter, topic)
                                    : protocol::mqtt::filter_matches(filter, topic));
    return true;
  };
  const auto it = users_.find(std::string(who.user_name));
  if (it != users_.end()) {
    for (const Rule& r : it->second) {
      if (!judge(r.right, r.filter)) return false;
    }
  }
  std::string filter;
  for (const Rule& r : patterns_) {
    if (substitute(r.filter, who, filter) && !judge(r.right, filter)) return false;
  }
  return granted;
}

bool AclFile::may_publish(const session::Identity& who, std::string_view topic) const {
  return allowed(who, topic, Right::write, false);
}
bool AclFile::may_subscribe(const session::Identity& who, std::string_view filter) const {
  return allowed(who, filter, Right::read, true);
}

}  // namespace berth::gateway::engine
