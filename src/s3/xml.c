#include "s3/xml.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

struct walk {
    XML_Parser parser;
    xml_leaf_fn *fn;
    void *arg;
    char path[XML_PATH_MAX];
    struct buf text;
    const char *refused; /* why the parser was stopped */
};

static void
refuse(struct walk *w, const char *why)
{
    w->refused = why;
    XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL
begin(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct walk *w = arg;
    const char *colon = strchr(name, ':');
    size_t len = strlen(w->path);

    (void)attributes;
    name = colon ? colon + 1 : name;
    if (len + strlen(name) + 2 > sizeof w->path) {
        refuse(w, "nested too deeply");
        return;
    }
    if (len > 0)
        w->path[len++] = '/';
    memcpy(w->path + len, name, strlen(name) + 1);
    buf_clear(&w->text);
}

static void XMLCALL
end(void *arg, const XML_Char *name)
{
    struct walk *w = arg;

    (void)name;
    if (w->refused)
        return;
    w->fn(w->arg, w->path, buf_cstr(&w->text));
    buf_clear(&w->text);
    char *slash = strrchr(w->path, '/');
    *(slash ? slash : w->path) = 0;
}

static void XMLCALL
letters(void *arg, const XML_Char *s, int len)
{
    struct walk *w = arg;

    if (w->refused)
        return;
    if ((size_t)len > XML_TEXT_MAX - w->text.len)
        refuse(w, "a text in it is too long");
    else
        buf_put(&w->text, s, (size_t)len);
}

static void XMLCALL
doctype(void *arg, const XML_Char *name, const XML_Char *system,
        const XML_Char *public_id, int internal)
{
    (void)name;
    (void)system;
    (void)public_id;
    (void)internal;
    refuse(arg, "it declares a document type");
}

int
xml_read(struct slice text, xml_leaf_fn *fn, void *arg, struct err *e)
{
    struct walk w = { .fn = fn, .arg = arg, .text = BUF(XML_TEXT_MAX + 1) };

    if (text.len == 0 || text.len > INT_MAX)
        return err_set(e, ERR_UNAVAIL, 0, "the answer is not XML");
    w.parser = XML_ParserCreate(NULL);
    if (!w.parser)
        return err_set(e, ERR_IO, 0, "expat cannot make a parser");
    XML_SetUserData(w.parser, &w);
    XML_SetElementHandler(w.parser, begin, end);
    XML_SetCharacterDataHandler(w.parser, letters);
    XML_SetStartDoctypeDeclHandler(w.parser, doctype);
    enum XML_Status done = XML_Parse(w.parser, (const char *)text.ptr, (int)text.len, 1);
    const char *why = w.refused ? w.refused : XML_ErrorString(XML_GetErrorCode(w.parser));
    XML_ParserFree(w.parser);
    buf_release(&w.text);
    if (done == XML_STATUS_OK)
        return 0;
    return err_set(e, ERR_UNAVAIL, 0, "the answer is not the XML it should be: %s", why);
}

void
xml_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buf_put_str(out, "&amp;");
            break;
        case '<':
            buf_put_str(out, "&lt;");
            break;
        case '>':
            buf_put_str(out, "&gt;");
            break;
        case '"':
            buf_put_str(out, "&quot;");
            break;
        case '\'':
            buf_put_str(out, "&apos;");
            break;
        default:
            buf_put_u8(out, (uint8_t)*text);
        }
    }
}
