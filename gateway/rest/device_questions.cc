#include "gateway/rest/device_questions.h"

#include <boost/json.hpp>
#include <utility>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/search.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"

namespace berth::gateway::rest {

using protocol::link::AskError;
using protocol::link::AskKind;

json::object object_in(const std::string& bytes) {
  boost::system::error_code ec;
  json::value v = json::parse(bytes, ec);
  return ec || !v.is_object() ? json::object() : std::move(v.get_object());
}

admin::Response as_json(const boost::json::object& o) {
  return {.status = 200,
          .content_type = "application/json",
          .body = boost::json::serialize(o) + "\n",
          .headers = {}};
}

admin::Response invalid(const std::string& why) {
  return admin::problem(admin::codes::kInvalid, why);
}

std::optional<admin::Response> refusal_of_list(const admin::Request& r,
                                               const admin::Parameters& known) {
  if (const std::string fault = admin::fault_of(r, known); !fault.empty()) return invalid(fault);
  if (const std::string fault = registry::Search::fault_of(r); !fault.empty())
    return invalid(fault);
  const std::string tenant = tenant_of(r);
  if (tenant.empty()) return invalid("tenant: whose devices");
  return admin::refusal_of(r.caller, admin::Right::read, tenant, r.parameter("site"));
}

std::string tenant_of(const admin::Request& r) {
  const std::string tenant = r.parameter("tenant");
  return tenant.empty() ? r.caller.tenant : tenant;
}

std::string read_time(const admin::Request& r, const char* name, std::int64_t& ms) {
  const std::string text = r.parameter(name);
  if (text.empty()) return {};
  const auto read = time_of_text(text);
  if (!read) return std::string(name) + ": a time (RFC 3339)";
  ms = *read;
  return {};
}

void find_device(const link::Asker& asker, const platform::pb::DevicesQuestion& q,
                 const admin::Responder& done,
                 std::function<void(const platform::pb::DevicesAnswer&)> found) {
  asker.ask_partition(
      0, {AskKind::list_devices, kWithin_ms, q.SerializeAsString()},
      [done, found = std::move(found)](const link::Answer& a) {
        platform::pb::DevicesAnswer said;
        if (a.error != AskError::none || !said.ParseFromString(a.bytes))
          return done.answer(unanswered(a.error));
        if (said.devices().empty())
          return done.answer(admin::problem(admin::codes::kNotFound, "no such device"));
        found(said);
      });
}

}  // namespace berth::gateway::rest
