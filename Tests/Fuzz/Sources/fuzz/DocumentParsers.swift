// The documents of OCI images.

import HostileBundles
import OCI

/// A parsed document is encoded as the same value; the documents of an image are read or refused.
func fuzzJSON(_ bytes: [UInt8]) {
  let value: ParsedJSON
  do { value = try JSONParser.parse(bytes) } catch {
    hold(!error.messageWithHint.isEmpty, "an error explains itself")
    return
  }
  hold((try? JSONParser.parse(value.encoded)) == value, "encoded and parsed again is the same")
  _ = try? OCIIndex(value, in: "index")
  if let config = try? OCIConfig(value, in: "config") {
    _ = try? OCIConfig(config.json, in: "config")
  }
  if let manifest = try? OCIManifest(value, in: "manifest") {
    hold((try? OCIManifest(manifest.json, in: "manifest")) != nil, "a written manifest is read")
  }
}

/// The seeds: documents and layers of the valid image.
enum ImageSeeds {
  static var documents: [[UInt8]] {
    Array(ImageDraft().layout.values.filter { $0.first == UInt8(ascii: "{") })
      + ["[1,-2,0.5e3,null,true]", #"{"a":"\u00e9\ud83d\ude00","b":[{}]}"#].map { Array($0.utf8) }
  }

  static var layers: [[UInt8]] {
    [
      ImageDraft.tar(),
      ImageDraft.tar { tar in
        tar.file("etc/.wh.motd", "")
        tar.file("usr/.wh..wh..opq", "")
        tar.header("h", type: "1", link: "etc/motd")
        tar.header("up", type: "2", link: "../../etc")
        tar.file("up/x", "x")
        tar.pax([("mtime", "5.25"), ("SCHILY.xattr.user.a", "b")])
        tar.directory("d/")
      },
    ]
  }
}
