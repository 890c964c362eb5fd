// What clients send to the HTTP server, and what S3 services and their files of settings say.

import Codec
import HTTPServer
import ObjectStorage
import S3

/// However the bytes arrive, the same requests come out. Each one is what the rules of the parser promise,
/// and reads again as the same.
func fuzzRequest(_ bytes: [UInt8]) {
  let (requests, refusal) = RequestStream.requests(in: bytes, stepBytes: bytes.count)
  for stepBytes in [1, 7] {
    let again = RequestStream.requests(in: bytes, stepBytes: stepBytes)
    hold(again.refusal == refusal, "short reads change no verdict")
    hold(again.requests.map(spelling) == requests.map(spelling), "short reads change nothing")
  }
  for request in requests {
    holdRules(request)
    let text = spelling(request)
    // A space after each colon may exceed the limit.
    var limits = HeadLimits()
    limits.headBytes += 2 * limits.fieldCount
    let again = RequestStream.requests(in: text, stepBytes: text.count, limits: limits)
    hold(again.refusal == nil && again.requests.count == 1, "a request can be sent again")
    hold(again.requests.map(spelling) == [text], "it is the same then")
  }
}

/// Returns a request as it could have been sent, without its body.
private func spelling(_ request: RequestStream.Request) -> [UInt8] {
  var text = Array("\(request.method) ".utf8) + request.target
  // A client of HTTP/1.0 may leave the field out.
  let hasHost = request.headers.contains { $0.name == "host" }
  text += Array(" HTTP/1.\(hasHost ? 1 : 0)\r\n".utf8)
  for (name, value) in request.headers where name != "content-length" {
    text += Array("\(name): \(value)\r\n".utf8)
  }
  return text + Array("\r\n".utf8)
}

private func holdRules(_ request: RequestStream.Request) {
  hold(!request.method.isEmpty && request.method.utf8.count <= 32, "a method is a short token")
  hold(!request.target.isEmpty && request.target.allSatisfy { $0 > 0x20 && $0 != 0x7f }, "targets")
  hold(request.headers.count <= HeadLimits().fieldCount, "fields are limited")
  for (name, value) in request.headers {
    hold(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x3a }, "names are tokens")
    hold(name.utf8.allSatisfy { !(0x41...0x5a).contains($0) }, "names are in lower case")
    hold(value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 9 }, "values have one line")
  }
  hold(request.headers.count { $0.name == "content-length" } <= 1, "one length at most")
  var end: UInt64 = 0
  for range in request.ranges {
    hold(!range.isEmpty && range.upperBound <= 1000, "ranges lie within the content")
    end += UInt64(range.count)
  }
  hold(end <= 1000, "ranges are not more than the content")
  guard let (path, query) = request.decoded else { return }
  for segment in path.segments {
    hold(!segment.isEmpty && !segment.contains(0) && !segment.contains(0x2f), "segments are names")
    hold(segment != [0x2e] && segment != [0x2e, 0x2e], "no segment leaves its directory")
  }
  let encoded = path.segments.map { "/" + PercentEncoding.segment($0) }.joined()
  let again = RequestPath(target: Array((encoded.isEmpty ? "/" : encoded).utf8))
  hold(again?.segments == path.segments, "a path is encoded and decoded as the same")
  for (name, value) in query.items {
    hold(PercentEncoding.decode(PercentEncoding.encode(value).utf8) == value, "a value, too")
    hold(!name.utf8.contains(0) || request.target.contains(0x25), "NUL was encoded")
  }
}

/// A document is one of three kinds, or none.
func fuzzS3XML(_ bytes: [UInt8]) {
  if let (entries, token) = HostileInput.listing(bytes) {
    hold(entries.count <= 20_000, "elements are limited")
    hold((token?.utf8.count ?? 0) <= 4096, "tokens are short")
  }
  _ = HostileInput.uploads(bytes)
  if let (code, message, region) = HostileInput.refusal(bytes) {
    for text in [code, message, region ?? ""] {
      hold(!text.utf8.contains { $0 < 0x20 || $0 == 0x7f }, "refusals are printable")
      hold(text.utf8.count <= 4 * 200, "refusals are short")
    }
  }
}

/// A parsed file is written and parsed as the same.
func fuzzINI(_ bytes: [UInt8]) {
  let sections: [String: [String: String]]
  do throws(StorageError) { sections = try HostileInput.settings(bytes) } catch {
    hold(!error.messageWithHint.isEmpty, "an error explains itself")
    return
  }
  for (name, values) in sections {
    hold(!name.isEmpty, "sections have names")
    for key in values.keys {
      hold(!key.isEmpty && key == key.lowercased(), "keys are in lower case")
    }
  }
}

/// The seeds of these parsers.
enum NetworkSeeds {
  static func of(_ parser: Parser) -> [[UInt8]] {
    let texts: [String]
    switch parser {
    case .request:
      texts = [
        "GET /boot/compute@1/kernel HTTP/1.1\r\nHost: mn:7070\r\nRange: bytes=0-99,-5\r\n\r\n",
        "HEAD /a%2Fb/%41?x=1+2&y=%ff HTTP/1.0\r\n\r\n",
        "\r\nGET http://mn/images?x HTTP/1.1\r\nhost: [::1]:7070\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/\"a\", \"b\"\r\nIf-Range: \"a\"\r\n"
          + "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nAuthorization: Basic YTpi\r\n\r\n",
      ]
    case .s3xml:
      texts = [
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3\"><EncodingType>url</EncodingType>"
          + "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
          + "<Contents><Key>packs%2Fa+b</Key><Size>5</Size></Contents></ListBucketResult>",
        "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>i</UploadId>"
          + "<Initiated>2026-11-30T05:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>",
        "<Error><Code>AccessDenied</Code><Message>no &lt;way&gt; &#10; x</Message>"
          + "<Region>eu</Region></Error>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><Error><Code>&b;</Code></Error>",
      ]
    case .ini:
      texts = [
        "[default]\naws_access_key_id = a\naws_secret_access_key=b\n# c\n[profile x]\ns3 =\n"
          + "  addressing_style = path\n  endpoint_url = http://h\nregion: eu\n",
        "; c\r\n[ \"a  b\" ]\r\nx=\r\n y = z\r\n",
      ]
    default: texts = []
    }
    return texts.map { Array($0.utf8) }
  }
}
