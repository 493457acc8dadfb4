// Errors of the admin port: RFC 9457, application/problem+json with type, title, status, detail,
// code and trace_id, whatever part of the server has found them (docs/api.md, "Errors", has all
// codes; a test compares). A client decides by `code`; `detail` is for people. Any thread.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/admin/caller.h"
#include "gateway/admin/message.h"

namespace berth::gateway::admin {

// A code never changes its meaning or its status.
struct ErrorCode {
  const char* code;
  int status;
  const char* title;
};

namespace codes {
inline constexpr ErrorCode kMalformed{"malformed", 400, "The request is not HTTP as expected"};
inline constexpr ErrorCode kUnauthorized{"unauthorized", 401, "A valid credential is needed"};
inline constexpr ErrorCode kSessionEnded{"session_ended", 401, "The session has ended"};
inline constexpr ErrorCode kHostRefused{"host_refused", 403, "The Host is not a name of the port"};
inline constexpr ErrorCode kOriginRefused{"origin_refused", 403, "Not for pages of other sites"};
inline constexpr ErrorCode kForbidden{"forbidden", 403, "The credential does not include this"};
inline constexpr ErrorCode kReadOnly{"read_only", 403, "The registry is read only"};
inline constexpr ErrorCode kNotFound{"not_found", 404, "There is no such record or page"};
inline constexpr ErrorCode kMethodNotAllowed{"method_not_allowed", 405, "Another method is needed"};
inline constexpr ErrorCode kConflict{"conflict", 409, "Another record or request is in the way"};
inline constexpr ErrorCode kInUse{"in_use", 409, "Other records need this record"};
inline constexpr ErrorCode kNothingMissing{"nothing_missing", 409, "No record is missing"};
inline constexpr ErrorCode kPreconditionFailed{"precondition_failed", 412,
                                               "If-Match or If-None-Match does not hold"};
inline constexpr ErrorCode kTooLarge{"too_large", 413, "The body is too large"};
inline constexpr ErrorCode kUnsupportedMediaType{"unsupported_media_type", 415,
                                                 "Another Content-Type is needed"};
inline constexpr ErrorCode kExpectationFailed{"expectation_failed", 417,
                                              "Expect knows 100-continue only"};
inline constexpr ErrorCode kInvalid{"invalid", 422, "The request's content is not valid"};
inline constexpr ErrorCode kInvalidCursor{"invalid_cursor", 422, "The cursor is not of this list"};
inline constexpr ErrorCode kTooManyRequests{"too_many_requests", 429, "A limit is used up"};
inline constexpr ErrorCode kHeadTooLarge{"head_too_large", 431, "The headers are too large"};
inline constexpr ErrorCode kInternal{"internal", 500, "The gateway has failed"};
inline constexpr ErrorCode kUnavailable{"unavailable", 503, "Not possible now; try again"};
inline constexpr ErrorCode kSignAgain{"sign_again", 503, "The request is to be signed anew"};
inline constexpr ErrorCode kBusy{"busy", 503, "Too much is under way; try again"};
inline constexpr ErrorCode kNoAnswer{"no_answer", 504, "There was no answer in time"};
}  // namespace codes

// All of them, by status.
inline constexpr ErrorCode kErrorCodes[] = {codes::kMalformed,
                                            codes::kUnauthorized,
                                            codes::kSessionEnded,
                                            codes::kHostRefused,
                                            codes::kOriginRefused,
                                            codes::kForbidden,
                                            codes::kReadOnly,
                                            codes::kNotFound,
                                            codes::kMethodNotAllowed,
                                            codes::kConflict,
                                            codes::kInUse,
                                            codes::kNothingMissing,
                                            codes::kPreconditionFailed,
                                            codes::kTooLarge,
                                            codes::kUnsupportedMediaType,
                                            codes::kExpectationFailed,
                                            codes::kInvalid,
                                            codes::kInvalidCursor,
                                            codes::kTooManyRequests,
                                            codes::kHeadTooLarge,
                                            codes::kInternal,
                                            codes::kUnavailable,
                                            codes::kSignAgain,
                                            codes::kBusy,
                                            codes::kNoAnswer};

// `more`: further members, such as {"written": 500}. The server adds trace_id.
Response problem(const ErrorCode& code, std::string_view detail,
                 const boost::json::object& more = {});
// An error in plain text becomes a problem with the code of its status; 503 of a probe stays.
Response with_problem(const std::string& path, const Trace& trace, Response r);

// Why `caller` may not do this to a record of `tenant` and `site` (empty: of no site); nothing: it
// may. 404 for what the caller does not see, so that the answer says nothing of it; 403 for a right
// that the credential does not include.
std::optional<Response> refusal_of(const Caller& caller, Right right, std::string_view tenant,
                                   std::string_view site = {});

}  // namespace berth::gateway::admin
