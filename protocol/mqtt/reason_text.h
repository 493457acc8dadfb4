// Reasons in words.
#pragma once

#include "protocol/mqtt/types.h"

namespace berth::protocol::mqtt {

// Reason strings for people who debug a device (3.14.2.2.3); others speak for themselves.
inline const char* text_of(Reason reason) {
  switch (reason) {
    case Reason::malformed_packet:
      return "malformed packet";
    case Reason::protocol_error:
      return "protocol error";
    case Reason::topic_name_invalid:
      return "topic name with wildcard, bad UTF-8 or too many levels";
    case Reason::topic_alias_invalid:
      return "topic alias 0 or above the announced maximum";
    case Reason::receive_maximum_exceeded:
      return "more PUBLISHes in flight than announced";
    case Reason::packet_too_large:
      return "packet above the announced maximum";
    case Reason::session_taken_over:
      return "another connection uses this client id";
    case Reason::quota_exceeded:
      return "the session's queue is full";
    case Reason::payload_format_invalid:
      return "not an Envelope with a body, or not for such a report";
    case Reason::not_authorized:
      return "not allowed";
    case Reason::bad_user_name_or_password:
      return "unknown auth_id, or its proof or password is wrong";
    case Reason::unsupported_protocol_version:
      return "this version is not spoken here";
    case Reason::client_identifier_not_valid:
      return "a client id is 1 to 64 letters, digits, '_', '.', '-'";
    case Reason::server_unavailable:
      return "not available now";
    case Reason::server_busy:
      return "too many log-ins wait";
    case Reason::banned:
      return "not let in for now: the gateway has failed because of it";
    case Reason::bad_authentication_method:
      return "this way to log in is not allowed";
    case Reason::administrative_action:
      return "its rights have ended";
    case Reason::connection_rate_exceeded:
      return "too many failed log-ins of this name or address";
    case Reason::keep_alive_timeout:
      return "nothing heard for longer than the heartbeat allows";
    default:
      return "";
  }
}

}  // namespace berth::protocol::mqtt
