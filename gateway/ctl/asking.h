// What the verbs of `berth ctl` share: one question to the admin port, and tables for people.
#pragma once

#include <boost/json.hpp>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/exit_codes.h"
#include "gateway/admin/http_client.h"
#include "gateway/config/config.h"
#include "gateway/ctl/ctl.h"

namespace berth::gateway {

// With the token of its file, else over the local socket of the gateway on this host, else over
// TCP. Throws std::runtime_error when there is no answer.
admin::Response ask(const Ctl& to, admin::Ask ask);
admin::Response ask(const Ctl& to, const std::string& method, const std::string& target);

// A value for the path or the query of a target (RFC 3986).
std::string encoded(const std::string& text);
// "&name=value"; nothing if the value is empty.
std::string parameter(const char* name, const std::string& value);

// For people: of an error of the API its message.
std::string shown(const admin::Response& r);
// 0: a good answer.
int exit_code(const admin::Response& r);
// Prints a good answer as JSON, or as `text` says it for people; a refusal as JSON, or for people
// as a sentence on stderr. The exit code.
int print_answer(const Ctl& to, const admin::Response& r,
                 const std::function<std::string(const std::string& body)>& text);
// The same of a refusal only, where the verb itself prints what is good.
int print_refusal(const Ctl& to, const admin::Response& r);

// What `f` returns, or the exit code of a question without an answer.
template <class F>
int answered(F f) {
  try {
    return f();
  } catch (const ConfigError&) {
    throw;
  } catch (const std::runtime_error& e) {
    std::fprintf(stderr, "berth ctl: %s\n", e.what());
    return base::kExitUnavailable;
  }
}

// For a terminal: '?' for what would drive it, or show what follows in another order. `lines`: of
// several lines.
std::string without_controls(std::string text, bool lines);
// A string as it is, all else as JSON; without control characters.
std::string text_of(const boost::json::value& v);
// Rows of the same width; the first has the headings.
std::string aligned(const std::vector<std::vector<std::string>>& rows);
// Of objects with the same members.
std::string table_of(const boost::json::array& list);
// Of these members; an object that lacks one has nothing in its column.
std::string table_of(const boost::json::array& list, const std::vector<std::string>& columns);
// Of what is neither object nor array: one line each.
std::string pairs_of(const boost::json::object& o);

}  // namespace berth::gateway
