// Writes manifest.xml as xCAT's XML::Simple does: children sorted by name, two blanks per level, a
// declaration without an encoding, empty values omitted (docs/xcat-contract.md#manifest).
//
// A single kit, kitrepo or kitcomponent is nested under an element with its name, or appears twice if
// its name is not an XML name. XML::Simple folds only these forms, and xCAT's import dies of any other
// (docs/xcat-contract.md#kits). Values that XML cannot hold (control characters) are refused.

import Platform

extension Manifest {
  /// Returns the bytes of the document.
  /// - Throws: `XCATError` for a value that no XML document can hold.
  public func render() throws(XCATError) -> [UInt8] {
    var elements: [(name: String, lines: [String])] = []
    for (name, value) in values where !value.isEmpty {
      elements.append((name, [try Manifest.element(name, value, 1)]))
    }
    for extra in extras {
      elements.append(
        ("extra", try Manifest.block("extra", ["dest": extra.destination, "src": extra.source], 1)))
    }
    for pattern in excludes {
      elements.append(("exclude", try Manifest.block("exclude", ["pattern": pattern], 1)))
    }
    let rows =
      directory.isEmpty
      ? [("osimage", osimage), ("linuximage", linuximage)] : [("directory", directory)]
    for (name, columns) in rows {
      elements.append((name, try Manifest.block(name, columns, 1)))
    }
    if let files = rawImageFiles {
      var lines = ["  <rawimagefiles>"]
      for file in files { lines.append(try Manifest.element("files", file, 2)) }
      elements.append(("rawimagefiles", lines + ["  </rawimagefiles>"]))
    }
    for (element, _, key) in Manifest.kitElements {
      elements += try kitLines(element, key, self[kitElement: element])
    }
    for item in closure {
      let columns = [
        "kind": item.isTree ? "tree" : "", "member": item.member, "path": item.path,
      ]
      elements.append(("closure", try Manifest.block("closure", columns, 1)))
    }
    // The sort must be stable to keep several extras in their order.
    let sorted = elements.enumerated().sorted {
      $0.element.name == $1.element.name
        ? $0.offset < $1.offset : byBytes($0.element.name, $1.element.name)
    }
    var lines = ["<?xml version=\"1.0\"?>", "<xcatimage>"]
    for element in sorted { lines += element.element.lines }
    lines.append("</xcatimage>")
    return Array((lines.joined(separator: "\n") + "\n").utf8)
  }

  private func kitLines(
    _ element: String, _ key: String, _ rows: [[String: String]]
  ) throws(XCATError) -> [(name: String, lines: [String])] {
    var lines: [(name: String, lines: [String])] = []
    for row in rows.sorted(by: { byBytes($0[key] ?? "", $1[key] ?? "") }) {
      let name = row[key] ?? ""
      if rows.count == 1, Manifest.isElementName(name) {
        let inner = try Manifest.block(name, row, 2)
        lines.append((element, ["  <\(element)>"] + inner + ["  </\(element)>"]))
        continue
      }
      var block = try Manifest.block(element, row, 1)
      block.insert(try Manifest.element("name", name, 2), at: 1)
      lines.append((element, block))
      if rows.count == 1 { lines.append((element, block)) }
    }
    return lines
  }

  private static func block(
    _ name: String, _ columns: [String: String], _ depth: Int
  ) throws(XCATError) -> [String] {
    let indent = String(repeating: "  ", count: depth)
    var lines = ["\(indent)<\(name)>"]
    for (column, value) in columns.sorted(by: { byBytes($0.key, $1.key) }) where !value.isEmpty {
      lines.append(try element(column, value, depth + 1))
    }
    return lines + ["\(indent)</\(name)>"]
  }

  private static func element(
    _ name: String, _ value: String, _ depth: Int
  ) throws(XCATError) -> String {
    var escaped = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default:
        guard scalar.value >= 0x20, scalar.value != 0x7f, scalar.value & 0xfffe != 0xfffe else {
          throw XCATError(
            "attribute \(name)",
            "holds the control character U+"
              + String(scalar.value, radix: 16, uppercase: true)
              + ", which no manifest can carry: xCAT could not import the bundle",
            hint: "Correct the value with 'imgstore define' or chdef, and export again")
        }
        escaped.unicodeScalars.append(scalar)
      }
    }
    return String(repeating: "  ", count: depth) + "<\(name)>\(escaped)</\(name)>"
  }

  /// Returns whether a text is a plain ASCII XML name. The specification allows more, but xCAT's
  /// parser may not.
  static func isElementName(_ name: String) -> Bool {
    guard let first = name.utf8.first else { return false }
    func isLetter(_ byte: UInt8) -> Bool {
      (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x5f
    }
    guard isLetter(first), !name.lowercased().hasPrefix("xml") else { return false }
    return name.utf8.allSatisfy {
      isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x2e
    }
  }
}
