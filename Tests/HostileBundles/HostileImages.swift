// The corpus of hostile OCI images: one list for each family. Every one is refused, and nothing outside the
// store changes.

extension HostileImage {
  /// Names and links of members.
  static let members: [HostileImage] = [
    .member("a name with ..") { $0.file("../outside", "x") },
    .member("a name with .. inside") { $0.file("etc/../../outside", "x") },
    .member("an absolute name with ..") { $0.file("/../outside", "x") },
    .member("a NUL in a name") {
      $0.rawPax(paxRecord("path", Array("etc/a\u{0}b".utf8)))
      $0.file("x", "x")
    },
    .member("a component of 256 bytes") { tar in
      tar.longName(String(repeating: "n", count: 256))
      tar.file("n", "x")
    },
    .member("a name of 5,000 bytes") { tar in
      tar.longName(String(repeating: "n/", count: 2500) + "f")
      tar.file("n", "x")
    },
    .member("2,040 levels") { tar in
      tar.longName(String(repeating: "d/", count: 2040) + "f")
      tar.file("f", "x")
    },
    .member("2,500 levels, in two steps through a link") { tar in
      tar.longName(String(repeating: "d/", count: 1900))
      tar.directory("d")
      tar.longTarget(String(repeating: "d/", count: 1900))
      tar.header("l", type: "2", link: "d")
      tar.longName("l/" + String(repeating: "e/", count: 600) + "f")
      tar.file("f", "x")
    },
    .member("below a file") { $0.file("etc/motd/inside", "x") },
    .member("below a link to itself") { tar in
      tar.header("loop", type: "2", link: "loop")
      tar.file("loop/x", "x")
    },
    .member("below a chain of 41 links") { tar in
      for i in 0...40 { tar.header("l\(i)", type: "2", link: "l\(i + 1)") }
      tar.directory("l41")
      tar.file("l0/x", "x")
    },
    .member("links that double the way 40 times") { tar in
      tar.directory("d0")
      for i in 1...40 {
        tar.header("d\(i)", type: "2", link: "d\(i - 1)/../d\(i - 1)")
      }
      tar.file("d40/x", "x")
    },
    .member("below a link to a file") { tar in
      tar.header("l", type: "2", link: "etc/motd")
      tar.file("l/x", "x")
    },
    .member("a hard link to nothing") { $0.header("h", type: "1", link: "absent") },
    .member("a hard link to a file outside") {
      $0.header("h", type: "1", link: "../../etc/shadow")
    },
    .member("a hard link to a whiteout") { tar in
      tar.file(".wh.gone", "")
      tar.header("h", type: "1", link: ".wh.gone")
    },
    .member("a hard link to a directory") { $0.header("h", type: "1", link: "etc") },
    .member("a hard link with other content") { tar in
      tar.pax([("size", "5")])
      tar.header("h", type: "1", size: 5, link: "etc/motd")
      tar.content(Array("other".utf8))
    },
    .member("the top as a file") { $0.file(".", "x") },
    .member("the top as a link") { $0.header(".", type: "2", link: "etc") },
    .member("a device with impossible numbers") { tar in
      tar.header("dev", type: "3") { $0.putOctal(0o7777777, at: 329, width: 8) }
    },
    .member("a type that no tar has") { $0.header("t", type: "!") },
    .member("a socket with the type of another program") { $0.header("s", type: "Z") },
  ]

  static let whiteouts: [HostileImage] = [
    .member("a whiteout of nothing") { $0.file(".wh.", "") },
    .member("a whiteout of .") { $0.file("etc/.wh..", "") },
    .member("a whiteout of ..") { $0.file("etc/.wh...", "") },
    .member("below a whiteout") { $0.file("etc/.wh.motd/inside", "") },
    .member("a whiteout behind ..") { $0.file("etc/../../.wh.outside", "") },
  ]

  static let sizes: [HostileImage] = [
    .member("a pax header of 7 GiB") { tar in
      tar.header("PaxHeaders/x", type: "x", size: 7 << 30)
    },
    .member("a pax header of 5 MiB") { tar in
      tar.rawPax(paxRecord("comment", [UInt8](repeating: 0x61, count: 5 << 20)))
      tar.file("x", "x")
    },
    .member("a size that no file has") { tar in
      tar.pax([("size", "18446744073709551615")])
      tar.file("x", "x")
    },
    .member("a file that is longer than the layer") { $0.header("x", size: 1 << 30) },
    .member("a sparse file of 8 EiB in a few bytes") { tar in
      tar.pax([
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"),
        ("GNU.sparse.realsize", "9223372036854775807"), ("GNU.sparse.name", "sparse"),
      ])
      tar.header("x", size: 512)
      tar.content(Array("0\n".utf8) + [UInt8](repeating: 0, count: 510))
    },
    .member("a map of a sparse file that overlaps itself") { tar in
      tar.pax([
        ("GNU.sparse.size", "100"), ("GNU.sparse.map", "50,40,0,60"),
      ])
      tar.file("x", [UInt8](repeating: 1, count: 100))
    },
    .member("an attribute of 100 KiB") { tar in
      tar.rawPax(paxRecord("SCHILY.xattr.user.a", [UInt8](repeating: 0x61, count: 100 << 10)))
      tar.file("x", "x")
    },
    HostileImage("zeros that expand 1,000 times, beyond a GiB") {
      var draft = ImageDraft(layers: [[]])
      // Thirty members of 64 MiB each.
      let member = gzip([UInt8](repeating: 0, count: 64 << 20), level: 9)
      var tar = RawTar()
      tar.header("zeros", size: 30 * 64 << 20)
      draft.stored = [gzip(tar.bytes) + (0..<30).flatMap { _ in member }]
      return draft.archive
    },
  ]

  static let documents: [HostileImage] = [
    .document("a digest that is a path", "index.json") { text in
      text.replacingDigest(with: "sha256:../../../../etc/shadow")
    },
    .document("a digest of another algorithm", "index.json") { text in
      text.replacingDigest(with: "sha512:" + String(repeating: "0", count: 128))
    },
    .document("a digest in capital letters", "index.json") { text in
      text.replacingDigest(with: "sha256:" + String(repeating: "A", count: 64))
    },
    .document("a manifest that does not exist", "index.json") { text in
      text.replacingDigest(with: "sha256:" + String(repeating: "0", count: 64))
    },
    .document("no manifests", "index.json") { _ in #"{"schemaVersion":2,"manifests":[]}"# },
    .document("an index that is a list", "index.json") { _ in "[]" },
    .document("an index that is cut off", "index.json") { String($0.dropLast(3)) },
    .document("an index of 9 MiB", "index.json") { $0 + String(repeating: " ", count: 9 << 20) },
    .document("a million levels of lists", "index.json") { _ in
      String(repeating: "[", count: 1_000_000)
    },
    .document("a name twice in an index", "index.json") { text in
      text.dropLast() + #","manifests":[]}"#
    },
    .document("a size that is negative", "manifest") { text in
      text.split(separator: "\"size\":").joined(separator: "\"size\":-")
    },
    .document("sizes that lie", "manifest") { text in
      text.split(separator: "\"size\":").joined(separator: "\"size\":1")
    },
    .document("the digest of a plain layer that lies", "config") { text in
      text.replacingDigest(with: "sha256:" + String(repeating: "1", count: 64))
    },
    .document("more plain layers than layers", "config") { text in
      let digest = String(repeating: "1", count: 64)
      return text.split(separator: "\"diff_ids\":[").joined(
        separator: "\"diff_ids\":[\"sha256:\(digest)\",")
    },
    .document("a configuration of another artifact", "manifest") { text in
      text.split(separator: "image.config").joined(separator: "other.config")
    },
    .document("a layer that is encrypted", "manifest") { text in
      text.split(separator: "tar+gzip").joined(separator: "tar+gzip+encrypted")
    },
    .document("1,001 layers", "manifest") { text in
      guard let start = text.range("\"layers\":[") else { return text }
      let layer = text[start.upperBound...].dropLast(2)
      return text[..<start.upperBound]
        + repeatElement(String(layer), count: 1001).joined(separator: ",") + "]}"
    },
    HostileImage("nine indexes, each in another") {
      var draft = ImageDraft()
      draft.files = { files in
        guard let first = files["index.json"] else { return }
        var inner = first
        for _ in 0..<9 {
          files["blobs/sha256/\(inner.digestHex)"] = inner
          inner = Array(
            #"{"schemaVersion":2,"manifests":[\#(ImageDraft.descriptor("index.v1+json", inner))]}"#
              .utf8)
        }
        files["index.json"] = inner
      }
      return draft.archive
    },
    HostileImage("an index that names one index 5,000 times") {
      var draft = ImageDraft()
      draft.files = { files in
        guard let inner = files["index.json"] else { return }
        files["blobs/sha256/\(inner.digestHex)"] = inner
        let entry = ImageDraft.descriptor("index.v1+json", inner)
        let entries = repeatElement(entry, count: 5000).joined(separator: ",")
        files["index.json"] = Array(#"{"schemaVersion":2,"manifests":[\#(entries)]}"#.utf8)
      }
      return draft.archive
    },
  ]

  static let archives: [HostileImage] = [
    .files("a layer with a flipped bit") { $0.flipBit(ofLargest: true) },
    .files("a manifest with a flipped bit") { files in
      let path = files.first { $0.value.starts(with: Array(#"{"schemaVersion":2,"config""#.utf8)) }?
        .key
      if let path, let count = files[path]?.count { files[path]?[count - 2] ^= 1 }
    },
    .files("a layer that is missing") { files in
      if let path = files.largest { files[path] = nil }
    },
    .files("a layer that is too short") { files in
      if let path = files.largest { files[path]?.removeLast() }
    },
    .files("no index") { $0["index.json"] = nil },
    .files("a layout of another version") {
      $0["oci-layout"] = Array(#"{"imageLayoutVersion":"2.0.0"}"#.utf8)
    },
    HostileImage("a layer that is not a tar") {
      var draft = ImageDraft(layers: [Array("this is not a tar archive".utf8)])
      draft.stored = [gzip(draft.layers[0])]
      return draft.archive
    },
    HostileImage("a layer with two archives") {
      ImageDraft(layers: [ImageDraft.tar() + ImageDraft.tar()]).archive
    },
    HostileImage("a member twice in the archive") {
      let files = ImageDraft().layout
      var tar = RawTar()
      for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
        tar.file(name, bytes)
        tar.file("./" + name, bytes)
      }
      tar.end()
      return tar.bytes
    },
    HostileImage("an archive that is cut off") { Array(ImageDraft().archive.prefix(2000)) },
    HostileImage("a layer that is a link to a file of the machine") {
      let files = ImageDraft().layout
      var tar = RawTar()
      for (name, bytes) in files.sorted(by: { $0.key > $1.key }) {
        if name == files.largest {
          tar.longName(name)
          tar.header("x", type: "2", link: "/etc/passwd")
        } else {
          tar.file(name, bytes)
        }
      }
      tar.end()
      return tar.bytes
    },
  ]
}
