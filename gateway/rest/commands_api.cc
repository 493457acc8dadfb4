#include "gateway/rest/commands_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/random_id.h"
#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/registry/command_json.h"
#include "gateway/rest/search.h"
#include "platform/command_questions.h"
#include "platform/result_router.h"

namespace berth::gateway::rest {

namespace json = boost::json;
using admin::For;
using admin::Request;
using admin::Responder;
using admin::Response;
using admin::Right;
using protocol::link::AskError;
using protocol::link::AskKind;
using registry::AskedJson;
using registry::command_json;
using registry::content_of;
using registry::read_command;
using registry::read_time;

namespace {

constexpr std::uint32_t kAnswerWithin_ms = 5000;  // beside what the caller waits for
constexpr std::uint32_t kWaitDefault_ms = 15'000;
constexpr std::uint32_t kWaitMax_ms = 30'000;
constexpr std::size_t kCommandsDefault = 50;
constexpr std::size_t kCommandsMax = 200;

Response command_answer(int status, const json::object& o) {
  return {.status = status,
          .content_type = "application/json",
          .body = json::serialize(o) + "\n",
          .headers = {}};
}

// Of the ledger's refusals: the codes are its own.
Response refused(std::uint32_t status, const std::string& code, const std::string& text) {
  const admin::ErrorCode said{code.c_str(), static_cast<int>(status), "The command is refused"};
  Response r = admin::problem(said, text);
  if (status == 429) r.headers["Retry-After"] = "1";
  return r;
}

Response no_engine(AskError error) {
  if (error == AskError::too_late || error == AskError::link_lost)
    return admin::problem(admin::codes::kNoAnswer,
                          "the engine did not answer in time; ask again with the same id");
  const std::string why =
      error == AskError::not_serving
          ? "this process knows no engine that serves the device now; an edge asks the one that "
            "does"
          : std::string("no engine takes the command now: ") + protocol::link::name_of(error);
  return admin::problem(admin::codes::kUnavailable, why);
}

// Of a command: 202 as long as it has no outcome, then 200.
Response answer_of(const link::Answer& a, bool accepting) {
  if (a.error != AskError::none) return no_engine(a.error);
  platform::pb::CommandAnswer said;
  if (!said.ParseFromString(a.bytes)) return no_engine(AskError::failed);
  if (said.status() >= 400 || !said.has_command())
    return refused(said.status() < 400 ? 404 : said.status(), said.code(), said.text());
  const json::object o = command_json(said.command());
  const bool final = o.at("final").as_bool();
  Response r = command_answer(final || !accepting ? 200 : 202, o);
  r.headers["Location"] =
      "/api/v1/commands/" + said.command().id() + "?tenant=" + said.command().tenant();
  r.changed = "command:" + said.command().id();
  return r;
}

// `?wait=true`, or milliseconds.
std::uint32_t wait_of(const Request& r, std::uint32_t in_body, std::string& fault) {
  const std::string text = r.parameter("wait");
  if (text.empty() || text == "false") return in_body;
  if (text == "true") return in_body != 0 ? in_body : kWaitDefault_ms;
  std::uint32_t ms = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (ec != std::errc() || end != text.data() + text.size() || ms > kWaitMax_ms)
    fault = "wait: true, or milliseconds up to " + std::to_string(kWaitMax_ms);
  return ms;
}

std::string new_id() {
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%016llx",
                static_cast<unsigned long long>(base::random_id()),
                static_cast<unsigned long long>(base::random_id()));
  return text;
}

// Unknown ones, and one twice.
std::optional<Response> bad_parameters(const Request& r, const admin::Parameters& known) {
  const std::string fault = admin::fault_of(r, known);
  if (fault.empty()) return std::nullopt;
  return admin::problem(admin::codes::kInvalid, fault);
}

// An account that is confined to sites may command the devices of these: the engine of the device
// checks which they are.
std::string any_site_of(const Request& r) {
  return r.caller.sites.empty() ? std::string() : r.caller.sites.front();
}

// The tenant that the caller may speak for: its own, or the one that an administrator names.
std::string tenant_of(const Request& r, const std::string& named) {
  return !named.empty() ? named : r.caller.tenant;
}

}  // namespace

std::int64_t CommandsApi::unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void CommandsApi::add_to(admin::HttpServer& http) {
  using std::chrono::milliseconds;
  const admin::RouteOptions options{.who = For::accounts,
                                    .body_max = 64 * 1024,
                                    .deadline = milliseconds(kWaitMax_ms + 2 * kAnswerWithin_ms)};
  const auto add = [&](const char* route, auto handler) {
    http.route_waiting(
        route,
        [this, handler](Request r, const Responder& done) { (this->*handler)(std::move(r), done); },
        options);
  };
  add("POST /api/v1/commands", &CommandsApi::submit);
  add("POST /api/v1/tenants/{tenant}/devices/{device}/commands/{type}", &CommandsApi::submit);
  add("GET /api/v1/commands", &CommandsApi::list);
  add("GET /api/v1/commands/{id}", &CommandsApi::get);
  add("POST /api/v1/commands/{id}/cancel", &CommandsApi::cancel);
  add("POST /api/v1/commands/{id}/close", &CommandsApi::close_case);
  add("GET /api/v1/tenants/{tenant}/devices/{device}/desired", &CommandsApi::desired);
}

// -- a new command

void CommandsApi::submit(Request r, const Responder& done) {
  if (auto no = bad_parameters(r, {{"wait", {}}})) return done.answer(std::move(*no));
  if (!r.body.empty() && !admin::has_media_type(r, "application/json"))
    return done.answer(
        admin::problem(admin::codes::kUnsupportedMediaType, "Content-Type: application/json"));
  AskedJson asked = read_command(r.body, options_.wall_ms());
  Record& record = asked.record;
  const auto from_path = [&](const char* name, const std::string& in_body, auto set) {
    const std::string value = r.capture(name);
    if (value.empty()) return;
    if (!in_body.empty() && in_body != value && asked.fault.empty())
      asked.fault = std::string(name) + ": not as in the path";
    set(value);
  };
  from_path("tenant", record.tenant(), [&](const std::string& v) { record.set_tenant(v); });
  from_path("device", record.device(), [&](const std::string& v) { record.set_device(v); });
  from_path("type", record.type(), [&](const std::string& v) { record.set_type(v); });
  const std::string key = r.header("idempotency-key");
  if (record.id().empty()) record.set_id(!key.empty() ? key : new_id());
  if (!key.empty() && key != record.id() && asked.fault.empty())
    asked.fault = "Idempotency-Key: not as `id`";
  const std::uint32_t wait_ms = wait_of(r, asked.wait_ms, asked.fault);
  record.set_tenant(tenant_of(r, record.tenant()));
  if (record.tenant().empty() && asked.fault.empty()) asked.fault = "tenant: it is missing";
  if (record.device().empty() && asked.fault.empty()) asked.fault = "device: it is missing";
  if (record.type().empty() && asked.fault.empty()) asked.fault = "type: it is missing";
  platform::Asked names;
  if (asked.fault.empty()) asked.fault = platform::fault_of(record, names);
  if (!asked.fault.empty()) return done.answer(admin::problem(admin::codes::kInvalid, asked.fault));
  if (auto no = admin::refusal_of(r.caller, Right::command, record.tenant(), any_site_of(r)))
    return done.answer(std::move(*no));
  record.set_caller(r.caller.id);
  record.set_is_admin(r.caller.kind == admin::Caller::Kind::admin);
  const Responder answered = traced(r, record, done);
  record.set_trace_parent(r.caller.trace.traceparent());
  record.set_content(content_of(record));
  // Its sites are checked where the device's site is known.
  for (const std::string& site : r.caller.sites) record.add_caller_sites(site);
  platform::pb::SubmitQuestion q;
  q.set_wait_ms(wait_ms);
  *q.mutable_command() = std::move(record);
  begin(std::move(q), answered);
}

Responder CommandsApi::traced(Request& r, const Record& record, const Responder& done) {
  tracing::Tracer* const tracer = options_.tracer;
  admin::Trace& trace = r.caller.trace;
  if (tracer == nullptr ||
      !tracer->sampler().wants(trace.sampled, trace.trace_id, record.tenant(), record.device()))
    return done;
  trace.sampled = true;
  tracing::Span span{.trace_id = trace.trace_id,
                     .span_id = trace.span_id,
                     .parent_id = trace.parent_id,
                     .name = "POST /api/v1/commands",
                     .kind = tracing::SpanKind::server,
                     .start_ns = options_.wall_ms() * base::kMs,
                     .attributes = {{"http.request.method", std::string("POST")},
                                    {"http.route", std::string("/api/v1/commands")},
                                    {"berth.tenant", record.tenant()},
                                    {"berth.device", record.device()},
                                    {"berth.command.id", record.id()}}};
  return done.watched([this, tracer, span = std::move(span)](const Response& a) {
    tracing::Span whole = span;
    // Never before the command, whose times are of whole milliseconds too.
    whole.end_ns = (options_.wall_ms() + 1) * base::kMs;
    whole.attributes.push_back({"http.response.status_code", std::int64_t{a.status}});
    whole.failed = a.status >= 500;
    tracer->add({std::move(whole)});
  });
}

// The command's time runs from here, however long an engine and the questions before the last one
// are waited for.
void CommandsApi::begin(Submit submit, const Responder& done) {
  const Record& c = submit.command();
  const std::uint32_t home = platform::home_of(c.tenant(), c.device(), options_.partitions);
  const std::int64_t asked_ns = base::monotonic_ns();
  asker_.when_serving(home, [this, home, asked_ns, submit = std::move(submit), done](bool serves) {
    if (!serves) return done.answer(no_engine(AskError::not_serving));
    Submit timed = submit;
    const std::int64_t now_ms = asker_.clock_ms_of(home);
    const std::int64_t waited_ms = (base::monotonic_ns() - asked_ns) / base::kMs;
    // An engine that has said no clock can't subtract the wait.
    if (now_ms == 0 && waited_ms != 0) return done.answer(no_engine(AskError::not_serving));
    timed.set_asked_ms(now_ms == 0 ? 0 : now_ms - waited_ms);
    claim(std::move(timed), done);
  });
}

// In a partitioned gateway an id is one command's, whatever home its device has.
void CommandsApi::claim(Submit submit, const Responder& done) {
  if (options_.partitions == 1) return send(submit, done);
  const Record& c = submit.command();
  Submit q;
  q.mutable_command()->set_tenant(c.tenant());
  q.mutable_command()->set_id(c.id());
  q.mutable_command()->set_content(c.content());
  q.mutable_command()->set_caller(c.caller());
  q.mutable_command()->set_is_admin(c.is_admin());
  const std::uint32_t home = platform::claim_home(c.tenant(), c.id(), options_.partitions);
  asker_.ask_partition(home, {AskKind::claim_command, kAnswerWithin_ms, q.SerializeAsString()},
                       [this, submit = std::move(submit), done](const link::Answer& a) {
                         platform::pb::CommandAnswer said;
                         if (a.error != AskError::none) return done.answer(no_engine(a.error));
                         if (!said.ParseFromString(a.bytes))
                           return done.answer(no_engine(AskError::failed));
                         if (said.status() != 0)
                           return done.answer(refused(said.status(), said.code(), said.text()));
                         locate(submit, done);
                       });
}

// In a partitioned gateway the device's session may be in another partition than its home; that one
// knows whether the part has another command.
void CommandsApi::locate(Submit submit, const Responder& done) {
  const Record& c = submit.command();
  platform::pb::LocateQuestion q;
  q.set_tenant(c.tenant());
  q.set_device(c.device());
  q.set_command_id(c.id());
  const protocol::link::Question question{AskKind::locate_device, kAnswerWithin_ms,
                                          q.SerializeAsString()};
  asker_.ask_all(question, [this, submit = std::move(submit),
                            done](const std::vector<link::Answer>& all) mutable {
    for (std::size_t p = 0; p < all.size(); ++p) {
      platform::pb::LocateAnswer a;
      if (all[p].error != AskError::none || !a.ParseFromString(all[p].bytes)) continue;
      if (a.online()) submit.set_located(static_cast<std::uint32_t>(p + 1));
      if (a.busy()) submit.set_busy(true);
    }
    send(submit, done);
  });
}

void CommandsApi::send(const Submit& submit, const Responder& done) {
  const Record& c = submit.command();
  asker_.ask_partition(
      platform::home_of(c.tenant(), c.device(), options_.partitions),
      {AskKind::submit_command, submit.wait_ms() + kAnswerWithin_ms, submit.SerializeAsString()},
      [done](const link::Answer& a) { done.answer(answer_of(a, true)); });
}

// -- one that there is

std::optional<platform::pb::CommandKey> CommandsApi::key_of(const Request& r, Right right,
                                                            const Responder& done) const {
  const std::string tenant = tenant_of(r, r.parameter("tenant"));
  if (tenant.empty()) {
    done.answer(admin::problem(admin::codes::kInvalid, "tenant: it is missing"));
    return std::nullopt;
  }
  if (auto no = admin::refusal_of(r.caller, right, tenant, any_site_of(r))) {
    done.answer(std::move(*no));
    return std::nullopt;
  }
  platform::pb::CommandKey q;
  q.set_tenant(tenant);
  q.set_id(r.capture("id"));
  for (const std::string& site : r.caller.sites) q.add_caller_sites(site);
  return q;
}

void CommandsApi::ask_by_id(AskKind kind, const Request& r, std::uint32_t wait_ms,
                            const Responder& done) {
  auto q = key_of(r, kind == AskKind::find_command ? Right::read : Right::command, done);
  if (!q) return;
  q->set_wait_ms(wait_ms);
  ask_all({kind, wait_ms + kAnswerWithin_ms, q->SerializeAsString()}, done);
}

void CommandsApi::ask_all(protocol::link::Question q, const Responder& done) const {
  asker_.ask_all(std::move(q), [done](const std::vector<link::Answer>& all) {
    const link::Answer* best = &all.front();
    for (const link::Answer& a : all) {
      platform::pb::CommandAnswer said;
      const bool good = a.error == AskError::none && said.ParseFromString(a.bytes);
      if (good && said.status() != 404) {
        best = &a;
        break;
      }
      // One that did not answer may have it.
      if (!good) best = &a;
    }
    done.answer(answer_of(*best, false));
  });
}

// What a person has found out of a command that has its outcome: {"note": TEXT}.
void CommandsApi::close_case(const Request& r, const Responder& done) {
  if (auto no = bad_parameters(r, {{"tenant", {}}})) return done.answer(std::move(*no));
  if (!admin::has_media_type(r, "application/json"))
    return done.answer(
        admin::problem(admin::codes::kUnsupportedMediaType, "Content-Type: application/json"));
  auto key = key_of(r, Right::command, done);
  if (!key) return;
  constexpr std::ptrdiff_t kNoteMax = 1000;  // characters
  boost::system::error_code ec;
  const json::value body = json::parse(r.body, ec);
  const json::value* const note = !ec && body.is_object() && body.get_object().size() == 1
                                      ? body.get_object().if_contains("note")
                                      : nullptr;
  const auto is_word = [](unsigned char c) { return c > 0x20 && c != 0x7f; };
  const auto begins = [](unsigned char c) { return (c & 0xc0) != 0x80; };  // a character
  const std::string text =
      note != nullptr && note->is_string() ? std::string(note->get_string()) : std::string();
  if (std::none_of(text.begin(), text.end(), is_word) ||
      std::count_if(text.begin(), text.end(), begins) > kNoteMax)
    return done.answer(admin::problem(admin::codes::kInvalid,
                                      "{\"note\": TEXT} is expected, of 1 to 1000 characters"));
  platform::pb::CloseQuestion q;
  *q.mutable_key() = std::move(*key);
  q.set_by(r.caller.id);
  q.set_note(text);
  ask_all({AskKind::close_command, kAnswerWithin_ms, q.SerializeAsString()}, done);
}

void CommandsApi::get(const Request& r, const Responder& done) {
  if (auto no = bad_parameters(r, {{"tenant", {}}, {"wait", {}}}))
    return done.answer(std::move(*no));
  std::string fault;
  const std::uint32_t wait_ms = wait_of(r, 0, fault);
  if (!fault.empty()) return done.answer(admin::problem(admin::codes::kInvalid, fault));
  ask_by_id(AskKind::find_command, r, wait_ms, done);
}

void CommandsApi::cancel(const Request& r, const Responder& done) {
  if (auto no = bad_parameters(r, {{"tenant", {}}})) return done.answer(std::move(*no));
  ask_by_id(AskKind::cancel_command, r, 0, done);
}

// What the device is to keep, and how far it has said so.
void CommandsApi::desired(const Request& r, const Responder& done) {
  if (auto no = bad_parameters(r, {})) return done.answer(std::move(*no));
  const std::string tenant = r.capture("tenant");
  if (auto no = admin::refusal_of(r.caller, Right::read, tenant))
    return done.answer(std::move(*no));
  platform::pb::LocateQuestion q;
  q.set_tenant(tenant);
  q.set_device(r.capture("device"));
  for (const std::string& site : r.caller.sites) q.add_caller_sites(site);
  asker_.ask_partition(
      platform::home_of(tenant, q.device(), options_.partitions),
      {AskKind::desired_state, kAnswerWithin_ms, q.SerializeAsString()},
      [done](const link::Answer& a) {
        if (a.error != AskError::none) return done.answer(no_engine(a.error));
        if (a.bytes.empty())
          return done.answer(admin::problem(admin::codes::kNotFound, "no desired state"));
        done.answer({.status = 200,
                     .content_type = "application/json",
                     .body = a.bytes + "\n",
                     .headers = {}});
      });
}

// -- lists

namespace {

// Of the partitions' pages.
Response page_of(const std::vector<link::Answer>& all, const platform::pb::ListQuestion& q,
                 const Seal& seal) {
  const std::size_t limit = q.count();
  struct Found {
    std::string end;
    platform::pb::CommandRecord record;
  };
  std::vector<Found> found;
  std::string bound;  // what is older may be missing a partition's
  for (const link::Answer& a : all) {
    platform::pb::ListAnswer page;
    if (a.error != AskError::none) return no_engine(a.error);
    if (!page.ParseFromString(a.bytes) || !page.error().empty())
      return admin::problem(admin::codes::kUnavailable, page.error());
    if (page.more()) bound = std::max(bound, page.last());
    for (int i = 0; i < page.commands_size(); ++i)
      found.push_back({page.ends(i), page.commands(i)});
  }
  std::sort(found.begin(), found.end(),
            [](const Found& x, const Found& y) { return x.end > y.end; });
  std::erase_if(found, [&](const Found& f) { return f.end < bound; });
  if (found.size() > limit) {
    found.resize(limit);
    bound = found.back().end;
  }
  json::array commands;
  for (const Found& f : found) commands.push_back(command_json(f.record));
  json::object o{{"commands", std::move(commands)}};
  if (!bound.empty()) o["next"] = seal.close(lists::kCommands, q.tenant(), bound);
  Response r = command_answer(200, o);
  r.cut = !bound.empty() && found.size() < limit;
  return r;
}

bool is_state(const std::string& word) {
  for (int s = 1; s < static_cast<int>(platform::State::done); ++s) {
    if (word == platform::name_of(static_cast<platform::State>(s))) return true;
  }
  for (int o = 1; o <= static_cast<int>(platform::Outcome::uncertain); ++o) {
    if (word == platform::name_of(static_cast<platform::Outcome>(o))) return true;
  }
  return false;
}

}  // namespace

// Each partition gives its newest; of all of them the newest are the page, and the next one begins
// behind its last.
void CommandsApi::list(const Request& r, const Responder& done) {
  if (auto no = bad_parameters(r, {{"tenant", {}},
                                   {"device", {}},
                                   {"site", {}},
                                   {"state", {}},
                                   {"q", {}},
                                   {"from", {}},
                                   {"to", {}},
                                   {"cursor", {}},
                                   {"closed", {admin::Parameter::Kind::flag, 0}},
                                   {"limit", {admin::Parameter::Kind::number, kCommandsMax}}}))
    return done.answer(std::move(*no));
  platform::pb::ListQuestion q;
  std::string fault = registry::Search::fault_of(r);
  q.set_tenant(tenant_of(r, r.parameter("tenant")));
  q.set_device(r.parameter("device"));
  q.set_site(r.parameter("site"));
  q.set_q(r.parameter("q"));
  const auto time = [&](const char* name) {
    std::int64_t ms = 0;
    const std::string text = r.parameter(name);
    if (!text.empty() && !read_time(text, ms))
      fault = std::string(name) + ": a time as 2026-01-31T08:00:00+08:00";
    return ms;
  };
  q.set_from_ms(time("from"));
  q.set_to_ms(time("to"));
  q.set_count(static_cast<std::uint32_t>(admin::number(r, "limit", kCommandsDefault)));
  q.set_state(r.parameter("state"));
  if (!r.parameter("closed").empty())
    q.set_closed(admin::flag(r, "closed") ? platform::pb::ListQuestion::CLOSED
                                          : platform::pb::ListQuestion::NOT_CLOSED);
  if (!q.state().empty() && !is_state(q.state()))
    fault = "state: ACCEPTED, WAITING, HANDED, SENT, RECEIVED, or an outcome";
  if (q.tenant().empty()) fault = "tenant: it is missing";
  if (!fault.empty()) return done.answer(admin::problem(admin::codes::kInvalid, fault));
  if (auto no = admin::refusal_of(r.caller, Right::read, q.tenant(), q.site()))
    return done.answer(std::move(*no));
  for (const std::string& site : r.caller.sites) q.add_caller_sites(site);
  // An index by site has what the caller may see; that of the tenant has all sites.
  const bool all_sites = q.site().empty() && q.device().empty();
  if (all_sites && r.caller.sites.size() == 1) q.set_site(r.caller.sites.front());
  if (all_sites && r.caller.sites.size() > 1)
    return done.answer(admin::problem(admin::codes::kInvalid,
                                      "site or device: an account of several sites names one"));
  page(std::move(q), r.parameter("cursor"), done);
}

void CommandsApi::page(platform::pb::ListQuestion q, const std::string& cursor,
                       const Responder& done) const {
  cursors_.get([this, q = std::move(q), cursor, done](const SealPtr& seal) mutable {
    if (seal == nullptr) return done.answer(no_engine(AskError::not_serving));
    if (!cursor.empty()) {
      const auto after = seal->open(lists::kCommands, q.tenant(), cursor);
      if (!after) return done.answer(bad_cursor());
      q.set_after(*after);
    }
    asker_.ask_all({AskKind::list_commands, kAnswerWithin_ms, q.SerializeAsString()},
                   [q, seal, done](const std::vector<link::Answer>& all) {
                     done.answer(page_of(all, q, *seal));
                   });
  });
}

}  // namespace berth::gateway::rest
