// Times as text.

import Glibc
import Platform

/// Formats a time, in seconds since 1970, as local time with strftime(3).
public func localTime(_ seconds: Int64, _ format: String) -> String {
  formatted(seconds, format, localtime_r) ?? "\(seconds)"
}

/// Formats a time, in seconds since 1970, in UTC with strftime(3).
func utcTime(_ seconds: Int64, _ format: String) -> String {
  formatted(seconds, format, gmtime_r) ?? "\(seconds)"
}

/// Returns the time in UTC, for programs: "2026-11-23T01:42:00.123456789Z".
public func isoText(_ time: Timestamp) -> String {
  guard let text = formatted(time.seconds, "%04Y-%m-%dT%H:%M:%S", gmtime_r) else {
    return "\(time.seconds)"
  }
  let fraction = String("\(1_000_000_000 + UInt64(time.nanoseconds))".dropFirst())
  return "\(text).\(fraction)Z"
}

private func formatted(
  _ seconds: Int64, _ format: String,
  _ convert: (UnsafePointer<time_t>, UnsafeMutablePointer<tm>) -> UnsafeMutablePointer<tm>?
) -> String? {
  var time = time_t(seconds)
  var parts = tm()
  var text = [CChar](repeating: 0, count: 64)
  guard convert(&time, &parts) != nil else { return nil }
  let length = strftime(&text, text.count, format, &parts)
  return String(decoding: text.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
}
