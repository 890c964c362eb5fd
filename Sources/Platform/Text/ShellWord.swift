// Quotes words of the commands in messages, because users paste these commands into a shell.

/// Returns a text as one word of a shell command, quoted if necessary.
public func shellQuoted(_ text: String) -> String {
  let plain = text.utf8.allSatisfy { byte in
    byte >= 0x80 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
      || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
      || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte || "/._-+@:,=%".utf8.contains(byte)
  }
  if plain, !text.isEmpty { return text }
  // Messages quote commands with "'", so double quotes are easier to read in them. These characters would be
  // special inside double quotes, also "!" in an interactive bash.
  if !text.utf8.contains(where: { #""$`\!"#.utf8.contains($0) || $0 < 0x20 }) {
    return "\"\(text)\""
  }
  return "'"
    + text.split(separator: "'", omittingEmptySubsequences: false)
    .joined(separator: "'\\''") + "'"
}
