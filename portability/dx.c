/* HLSL through Microsoft's compilers: FXC (d3dcompiler_47.dll) and DXC (dxcompiler.dll), with wgpu-hal's flags.
 *
 *   dx.exe fxc|dxc LIST    LIST has one kernel a line: name, tab, entry point, tab, file
 *
 * For each kernel one line: name, tab, ok or refused, tab, processor seconds, tab, bytes, tab, details. Of FXC the details are its
 * instruction slots, temporary registers, and the elements of arrays that are indexed at run time (x registers).
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* COM interfaces, as far as they are used: the order of the functions is their ABI. */
typedef struct Blob Blob;
typedef struct {
    HRESULT(WINAPI *query)(Blob *, const GUID *, void **);
    ULONG(WINAPI *add_ref)(Blob *);
    ULONG(WINAPI *release)(Blob *);
    void *(WINAPI *pointer)(Blob *);
    SIZE_T(WINAPI *size)(Blob *);
} BlobFunctions;
struct Blob {
    const BlobFunctions *f;
};

typedef struct Dxc Dxc;
typedef struct Result Result;
typedef struct {
    const void *pointer;
    SIZE_T size;
    UINT encoding;
} Buffer;
typedef struct {
    HRESULT(WINAPI *query)(Dxc *, const GUID *, void **);
    ULONG(WINAPI *add_ref)(Dxc *);
    ULONG(WINAPI *release)(Dxc *);
    HRESULT(WINAPI *compile)(Dxc *, const Buffer *, const wchar_t **, UINT, void *, const GUID *, void **);
} DxcFunctions;
struct Dxc {
    const DxcFunctions *f;
};
typedef struct {
    HRESULT(WINAPI *query)(Result *, const GUID *, void **);
    ULONG(WINAPI *add_ref)(Result *);
    ULONG(WINAPI *release)(Result *);
    HRESULT(WINAPI *status)(Result *, HRESULT *);
    HRESULT(WINAPI *result)(Result *, Blob **);
    HRESULT(WINAPI *errors)(Result *, Blob **);
} ResultFunctions;
struct Result {
    const ResultFunctions *f;
};

static const GUID CLSID_COMPILER = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID IID_COMPILER3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID IID_OPERATION_RESULT = {0xcedb484a, 0xd4e9, 0x445a, {0xb9, 0x91, 0xca, 0x21, 0xca, 0x15, 0x7d, 0xc2}};

typedef HRESULT(WINAPI *D3DCompile)(const void *, SIZE_T, const char *, const void *, void *, const char *, const char *,
                                    UINT, UINT, Blob **, Blob **);
typedef HRESULT(WINAPI *D3DDisassemble)(const void *, SIZE_T, UINT, const char *, Blob **);
typedef HRESULT(WINAPI *DxcCreateInstance)(const GUID *, const GUID *, void **);

#define STRICTNESS (1 << 11) /* D3DCOMPILE_ENABLE_STRICTNESS */
#define UTF8 65001

/* Of the processor, so that other programs do not count. */
static double seconds(void) {
    FILETIME begun, ended, kernel, user;
    GetProcessTimes(GetCurrentProcess(), &begun, &ended, &kernel, &user);
    ULONGLONG all = ((ULONGLONG)kernel.dwHighDateTime << 32) + kernel.dwLowDateTime + ((ULONGLONG)user.dwHighDateTime << 32) +
                    user.dwLowDateTime;
    return (double)all * 1e-7;
}

static void fail(const char *what, const char *about) {
    fprintf(stderr, "dx: %s: %s\n", about, what);
    exit(2);
}

static char *file(const char *path, SIZE_T *size) {
    FILE *f = fopen(path, "rb");
    if (!f) fail("cannot be opened", path);
    fseek(f, 0, SEEK_END);
    *size = (SIZE_T)ftell(f);
    rewind(f);
    char *text = malloc(*size + 1);
    if (!text || fread(text, 1, *size, f) != *size) fail("cannot be read", path);
    text[*size] = 0;
    fclose(f);
    return text;
}

/* On one line. */
static void print_text(const char *text, SIZE_T size) {
    for (SIZE_T i = 0; i < size && text[i] && i < 600; i++) putchar(strchr("\r\n\t", text[i]) ? ' ' : text[i]);
}

/* Words that FXC's assembly tells: the number after `head`, or the sum of those after `[`. */
static void print_assembly(const char *text) {
    unsigned slots = 0, temps = 0, indexed = 0, n;
    const char *at = strstr(text, "Approximately ");
    if (at) sscanf(at, "Approximately %u", &slots);
    at = strstr(text, "dcl_temps ");
    if (at) sscanf(at, "dcl_temps %u", &temps);
    for (at = text; (at = strstr(at, "dcl_indexableTemp ")); at++)
        if (sscanf(at, "dcl_indexableTemp x%*u[%u]", &n) == 1) indexed += n;
    printf("instructions %u registers %u indexed %u", slots, temps, indexed);
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage: dx.exe fxc|dxc LIST", "arguments");
    int fxc = strcmp(argv[1], "fxc") == 0;
    HMODULE library = LoadLibraryA(fxc ? "d3dcompiler_47.dll" : "dxcompiler.dll");
    if (!library) fail("cannot be loaded", fxc ? "d3dcompiler_47.dll" : "dxcompiler.dll");
    D3DCompile compile = (D3DCompile)(void *)GetProcAddress(library, "D3DCompile");
    D3DDisassemble disassemble = (D3DDisassemble)(void *)GetProcAddress(library, "D3DDisassemble");
    DxcCreateInstance create = (DxcCreateInstance)(void *)GetProcAddress(library, "DxcCreateInstance");
    Dxc *dxc = NULL;
    if (fxc ? !compile || !disassemble : !create) fail("lacks a function", argv[1]);
    if (!fxc && FAILED(create(&CLSID_COMPILER, &IID_COMPILER3, (void **)&dxc))) fail("gives no compiler", argv[1]);
    SIZE_T size;
    char *list = file(argv[2], &size);
    for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
        char *entry = strchr(line, '\t');
        char *path = entry ? strchr(entry + 1, '\t') : NULL;
        if (!path) fail("three words separated by tabs are needed", line);
        *entry++ = 0;
        *path++ = 0;
        char *text = file(path, &size);
        Blob *code = NULL, *errors = NULL;
        double start = seconds();
        HRESULT status;
        if (fxc) {
            status = compile(text, size, NULL, NULL, NULL, entry, "cs_5_1", STRICTNESS, 0, &code, &errors);
        } else {
            wchar_t wide[256];
            MultiByteToWideChar(CP_UTF8, 0, entry, -1, wide, 256);
            const wchar_t *flags[] = {L"-E", wide, L"-T", L"cs_6_0", L"-HV", L"2018", L"-no-warnings", L"-Ges"};
            Buffer buffer = {text, size, UTF8};
            Result *result = NULL;
            status = dxc->f->compile(dxc, &buffer, flags, sizeof flags / sizeof *flags, NULL, &IID_OPERATION_RESULT,
                                     (void **)&result);
            if (SUCCEEDED(status)) {
                result->f->status(result, &status);
                result->f->errors(result, &errors);
                if (SUCCEEDED(status)) result->f->result(result, &code);
                result->f->release(result);
            }
        }
        double took = seconds() - start;
        printf("%s\t%s\t%.4f\t%u\t", line, SUCCEEDED(status) ? "ok" : "refused", took,
               code ? (unsigned)code->f->size(code) : 0);
        if (FAILED(status)) {
            printf("%08lx ", (unsigned long)status);
            if (errors) print_text(errors->f->pointer(errors), errors->f->size(errors));
        } else if (fxc) {
            Blob *assembly = NULL;
            if (SUCCEEDED(disassemble(code->f->pointer(code), code->f->size(code), 0, NULL, &assembly))) {
                print_assembly(assembly->f->pointer(assembly));
                assembly->f->release(assembly);
            }
        }
        putchar('\n');
        fflush(stdout);
        if (code) code->f->release(code);
        if (errors) errors->f->release(errors);
        free(text);
    }
    return 0;
}
