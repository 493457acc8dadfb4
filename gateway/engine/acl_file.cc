#include "gateway/engine/acl_file.h"

#include <stdexcept>

#include "gateway/engine/security_file.h"
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

std::optional<AclFile::Right> AclFile::right_of(std::string_view word) {
  if (word == "read") return Right::read;
  if (word == "write") return Right::write;
  if (word == "readwrite") return Right::readwrite;
  if (word == "deny") return Right::deny;
  return std::nullopt;
}

// "[read|write|readwrite|deny] FILTER". One word is a filter, unless it is one of these four: then
// its filter is missing.
AclFile::Rule AclFile::rule_of(std::string_view text, const SecurityFile& at) {
  std::string_view rest = text;
  const std::string_view word = take_word(rest);
  const std::optional<Right> right = right_of(word);
  if (right && rest.empty()) throw at.bad("'" + std::string(word) + "' without a topic filter");
  if (!right && !rest.empty())
    throw at.bad("'" + std::string(word) + "' is none of read, write, readwrite, deny");
  Rule rule{right.value_or(Right::readwrite), std::string(right ? rest : word)};
  if (rule.filter.find('\t') != std::string::npos ||
      !protocol::mqtt::valid_topic_filter(rule.filter))
    throw at.bad("bad topic filter '" + rule.filter + "'");
  return rule;
}

AclFile AclFile::load(const std::string& path) {
  SecurityFile lines(path);
  AclFile file;
  std::string user;
  for (std::string_view rest; lines.next(rest);) {
    const std::string_view keyword = take_word(rest);
    if (keyword == "user") {
      if (rest.empty()) throw lines.bad("user without a name");
      user = rest;
    } else if (keyword == "topic") {
      file.users_[user].push_back(rule_of(rest, lines));
    } else if (keyword == "pattern") {
      file.patterns_.push_back(rule_of(rest, lines));
    } else if (!keyword.starts_with('#')) {
      throw lines.bad("unknown keyword '" + std::string(keyword) + "'");
    }
  }
  // A file that an editor has just emptied would end every subscription.
  if (file.users_.empty() && file.patterns_.empty())
    throw std::runtime_error(path + ": no rule in it (\"topic deny #\" allows nothing to anybody)");
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
