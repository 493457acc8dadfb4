#include "platform/most_connections.h"

#include <algorithm>
#include <boost/unordered/unordered_map.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "platform/insights.h"
#include "platform/insights.pb.h"
#include "session/principal_key.h"

namespace berth::platform {

using session::Session;

namespace {

struct Counts {
  boost::unordered_map<const session::Account*, std::uint64_t> sites;
  boost::unordered_map<std::string_view, std::uint64_t> users;  // within keys of sessions
  boost::unordered_map<std::string, std::uint64_t> addresses;   // their bytes

  void add(const Session& s) {
    if (s.account != nullptr && !s.account->tenant().empty()) {
      ++sites[s.account];
      return;
    }
    const std::string_view user = session::proven_user_of(session::principal_of(s.client_id));
    if (!user.empty()) {
      ++users[user];
      return;
    }
    const auto& bytes = s.channel->address.bytes;
    ++addresses[std::string(bytes.begin(), bytes.end())];
  }
};

base::Address address_of(const std::string& bytes) {
  return base::Address::v6(bytes.data());
}

}  // namespace

void most_connections(const session::Core& core, const pb::InsightsQuestion& q, std::size_t limit,
                      std::vector<pb::Insight>& out) {
  Counts counts;
  std::size_t looked = 0;
  for (const Session* s : core.sessions.all()) {
    if (++looked > kSessionsLooked) break;
    if (s != nullptr && s->channel != nullptr && !s->internal()) counts.add(*s);
  }
  const auto put = [&out](std::uint64_t n) -> pb::Insight& {
    pb::Insight& i = out.emplace_back();
    i.set_count(n);
    return i;
  };
  for (const auto& [account, n] : counts.sites) {
    if (!is_asked_for(q, account->tenant(), account->site())) continue;
    pb::Insight& i = put(n);
    i.set_tenant(account->tenant());
    i.set_site(account->site());
  }
  if (is_asked_for(q, {}, {})) {
    for (const auto& [user, n] : counts.users) put(n).set_name(std::string(user.substr(0, 64)));
    for (const auto& [bytes, n] : counts.addresses) put(n).set_address(address_of(bytes).text());
  }
  const auto more = [](const pb::Insight& a, const pb::Insight& b) {
    return a.count() > b.count();
  };
  std::sort(out.begin(), out.end(), more);
  if (out.size() > limit) out.resize(limit);
}

}  // namespace berth::platform
