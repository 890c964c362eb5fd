// Text that a stranger's manifest may bring into xCAT's tables. xCAT gives names and paths to
// shells, and its tools print all of it on terminals; so does everybody's script around them.
//
// 1. No value holds a control character, or is longer than any value needs to be.
// 2. What is a part of a path is one: no "/", no "..".
// 3. What is a name, a path or a list of them holds nothing that a shell would act on. Only prose
//    and kernel arguments are free.

import Platform

extension Manifest {
  static let maxNameBytes = 128
  static let maxValueBytes = 64 << 10
  /// Columns that become a component of a path, or a word of a command.
  private static let names = ["imagename", "profile", "osvers", "osarch", "provmethod"]
  private static let free: Set = [
    "description", "comments", "addkcmdline", "environvar", "nfsrootopts", "kitdeployparams",
    // Of kits: what compares versions with "<" and ">".
    "kitpkgdeps", "kitcompdeps", "prerequisite", "osmajorversion", "osminorversion",
  ]
  static let shellCharacters = Set(";&|$`\"'\\<>()".utf8)

  /// Refuses values that would do harm in other hands than ours.
  /// - Throws: `XCATError` that names the element; the value itself is not shown.
  public func refuseHarmfulText() throws(XCATError) {
    for row in [osimage, linuximage, values] + kits + kitRepositories + kitComponents {
      for (name, value) in row.sorted(by: { byBytes($0.key, $1.key) }) {
        try Manifest.check(value, of: name)
      }
    }
    for file in rawImageFiles ?? [] { try Manifest.check(file, of: "files") }
    for piece in closure {
      try Manifest.check(piece.member, of: "member")
      try Manifest.check(piece.path, of: "path")
    }
    for extra in extras {
      try Manifest.check(extra.source, of: "src")
      try Manifest.check(extra.destination, of: "dest")
    }
  }

  private static func refusal(_ name: String, _ finding: String) -> XCATError {
    XCATError(
      "manifest.xml", "<\(printable(name.utf8))> \(finding)",
      advice: "Nothing was imported; do not trust this bundle, or export the image again under "
        + "other names")
  }

  /// What any text must be.
  private static func checkProse(_ value: String, of name: String) throws(XCATError) {
    guard value.utf8.count <= maxValueBytes else {
      throw refusal(name, "is longer than \(maxValueBytes) bytes")
    }
    guard !value.holdsControlCharacters else { throw refusal(name, "holds a control character") }
  }

  private static func check(_ value: String, of name: String) throws(XCATError) {
    try checkProse(value, of: name)
    guard !value.hidesSeparators else {
      throw refusal(name, "holds a combining mark where no letter is before it")
    }
    guard !free.contains(name) else { return }
    guard !value.utf8.contains(where: { shellCharacters.contains($0) }) else {
      throw refusal(
        name, "holds a character that a shell would act on (one of ; & | $ ` \" ' \\ < > ( ))")
    }
    guard names.contains(name) else { return }
    guard !value.contains("/"), value != ".", value != "..", value.utf8.count <= maxNameBytes
    else { throw refusal(name, "cannot be part of a path") }
  }
}
