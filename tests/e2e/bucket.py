#!/usr/bin/python3
"""Fills buckets for 22-bucket.sh: any key, as curl cannot ask for some.

    bucket.py PORT REGION put KEY FILE [FIELD=VALUE]...
    bucket.py PORT REGION delete KEY
    bucket.py PORT REGION create BUCKET
    bucket.py PORT REGION fill FILE         objects of a JSON object, key to text
    bucket.py PORT REGION many PREFIX COUNT objects PREFIX00000 ..., 100 bytes each
"""
import hashlib
import hmac
import http.client
import json
import sys
import time
import urllib.parse


class Bucket:
    def __init__(self, port, region):
        self.host = "127.0.0.1:%s" % port
        self.region = region
        self.name = "bucket-" + region
        self.line = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)

    def call(self, method, key, body=b"", fields=()):
        path = "/%s/%s" % (self.name, urllib.parse.quote(key, safe="/~")) if key is not None \
            else "/" + self.name
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        head = dict(fields, **{"host": self.host, "x-amz-date": when,
                               "x-amz-content-sha256": hashlib.sha256(body).hexdigest()})
        names = ";".join(sorted(head))
        request = "\n".join([method, path, ""] + ["%s:%s" % (n, head[n]) for n in sorted(head)]
                            + ["", names, head["x-amz-content-sha256"]])
        scope = "%s/%s/s3/aws4_request" % (when[:8], self.region)
        to_sign = "\n".join(["AWS4-HMAC-SHA256", when, scope,
                             hashlib.sha256(request.encode()).hexdigest()])
        key_ = ("AWS4SK%s-0123456789" % self.region).encode()
        for part in scope.split("/"):
            key_ = hmac.new(key_, part.encode(), hashlib.sha256).digest()
        head["authorization"] = (
            "AWS4-HMAC-SHA256 Credential=AK%s/%s,SignedHeaders=%s,Signature=%s"
            % (self.region, scope, names,
               hmac.new(key_, to_sign.encode(), hashlib.sha256).hexdigest()))
        self.line.request(method, path, body, head)
        answer = self.line.getresponse()
        said = answer.read()
        if answer.status not in (200, 204):
            sys.exit("%s %r: HTTP %d %r" % (method, key, answer.status, said[:300]))


def main():
    port, region, command, *args = sys.argv[1:]
    b = Bucket(port, region)
    if command == "put":
        fields = dict(a.split("=", 1) for a in args[2:])
        b.call("PUT", args[0], open(args[1], "rb").read(), fields)
    elif command == "delete":
        b.call("DELETE", args[0])
    elif command == "create":
        b.name = args[0]
        b.call("PUT", None)
    elif command == "fill":
        for key, text in json.load(open(args[0])).items():
            b.call("PUT", key, text.encode())
    elif command == "many":
        for i in range(int(args[1])):
            b.call("PUT", "%s%05d" % (args[0], i), b"%0100d" % i)
    else:
        sys.exit(__doc__)


main()
