// What requests about devices have in common: presence, history, desired state (docs/platform.md).
// Plain functions; on the home loop of the admin port.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/admin/parameters.h"
#include "gateway/link/asker.h"
#include "platform/presence.pb.h"

namespace berth::gateway::rest {

inline constexpr std::uint32_t kWithin_ms = 5000;  // an engine answers
inline constexpr std::size_t kListDefault = 100;
inline constexpr std::size_t kListMax = 500;

admin::Response as_json(const boost::json::object& o);
// What an engine says in JSON; an empty object if it is none.
boost::json::object object_in(const std::string& bytes);
admin::Response invalid(const std::string& why);

// What is wrong with the parameters, q among them, or with the right to read of this tenant and
// site; nothing: they are good.
std::optional<admin::Response> refusal_of_list(const admin::Request& r,
                                               const admin::Parameters& known);
// That the request names; else the caller's own.
std::string tenant_of(const admin::Request& r);
// A parameter, Unix time; `ms` stays if there is none. What is wrong; empty: nothing.
std::string read_time(const admin::Request& r, const char* name, std::int64_t& ms);

// The site that is asked for, else those that the caller sees. None: all.
template <class Question>
void add_sites(const admin::Request& r, Question& q) {
  const std::string site = r.parameter("site");
  if (!site.empty()) return (void)q.add_sites(site);
  for (const std::string& s : r.caller.sites) q.add_sites(s);
}

// The one device of a question with `exactly`, as the registry has it; answers itself if there is
// none.
void find_device(const link::Asker& asker, const platform::pb::DevicesQuestion& q,
                 const admin::Responder& done,
                 std::function<void(const platform::pb::DevicesAnswer&)> found);

}  // namespace berth::gateway::rest
