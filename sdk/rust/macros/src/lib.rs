//! The attribute of `portcullis-sdk`. What it does is said there.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Path, Result, parse_quote};

/// Makes a function what the plugin does: see `portcullis::plugin`.
#[proc_macro_attribute]
pub fn plugin(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut sdk: Path = parse_quote!(::portcullis);
    let options = syn::meta::parser(|meta| {
        if !meta.path.is_ident("crate") {
            return Err(meta.error("expected `crate = PATH`"));
        }
        sdk = meta.value()?.call(Path::parse_mod_style)?;
        Ok(())
    });
    syn::parse_macro_input!(attribute with options);
    let function = syn::parse_macro_input!(item as ItemFn);
    export(&sdk, &function).map_or_else(
        |error| {
            let error = error.into_compile_error();
            quote!(#function #error).into()
        },
        Into::into,
    )
}

/// The function, and beside it the export that calls it.
fn export(sdk: &Path, function: &ItemFn) -> Result<proc_macro2::TokenStream> {
    let signature = &function.sig;
    if let Some(word) = &signature.asyncness {
        return Err(Error::new_spanned(
            word,
            "a plugin's function cannot be async: the host waits for it",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "a plugin's function cannot be generic",
        ));
    }
    let name = &signature.ident;
    let call = match signature.inputs.len() {
        0 => quote!(#name()),
        1 => quote!(#name(args)),
        _ => {
            let why = "a plugin's function takes its arguments as one `Vec<String>`, or nothing";
            return Err(Error::new_spanned(&signature.inputs, why));
        }
    };
    Ok(quote! {
        #[allow(clippy::needless_pass_by_value, reason = "its signature is that of a plugin's function")]
        #function

        const _: () = {
            struct Plugin;

            impl #sdk::__private::Guest for Plugin {
                fn run(
                    args: ::std::vec::Vec<::std::string::String>,
                ) -> ::core::result::Result<::std::string::String, ::std::string::String> {
                    #[allow(unused_imports, reason = "which of them it is, the type of the function says")]
                    use #sdk::__private::{Fallible as _, Shown as _};
                    let _ = &args;
                    #sdk::__private::prepare();
                    #sdk::__private::Returned(#call).answer()
                }
            }

            #sdk::__private::export!(Plugin with_types_in #sdk::__private);
        };
    })
}
